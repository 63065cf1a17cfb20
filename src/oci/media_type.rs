//! Media types beyond those that `oci-spec` names, and what they have in common.

pub use oci_spec::image::MediaType;

/// Docker's image manifest, version 2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list: what an image index is there.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's layer, a gzip-compressed tar.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's layer, a plain tar.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker's layer, a tar compressed by Zstandard, as containerd writes it.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// Docker's layer that need not be in the registry, a gzip-compressed tar.
pub const DOCKER_FOREIGN_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// The same as a plain tar.
pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";

/// How a layer's tar is compressed in its blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// What a descriptor points at, as far as we treat it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An image index or a Docker manifest list.
    Index,
    /// An image manifest, OCI or Docker.
    Manifest,
    /// An image configuration, OCI or Docker.
    Config,
    /// A layer.
    Layer(Compression),
    /// Something else.
    Other,
}

/// What a media type stands for.
pub fn kind(media_type: &MediaType) -> Kind {
    match media_type {
        MediaType::ImageIndex => Kind::Index,
        MediaType::ImageManifest => Kind::Manifest,
        MediaType::ImageConfig => Kind::Config,
        MediaType::ImageLayer | MediaType::ImageLayerNonDistributable => Kind::Layer(Compression::None),
        MediaType::ImageLayerGzip | MediaType::ImageLayerNonDistributableGzip => Kind::Layer(Compression::Gzip),
        MediaType::ImageLayerZstd | MediaType::ImageLayerNonDistributableZstd => Kind::Layer(Compression::Zstd),
        MediaType::Other(other) => match other.as_str() {
            DOCKER_MANIFEST_LIST => Kind::Index,
            DOCKER_MANIFEST => Kind::Manifest,
            DOCKER_CONFIG => Kind::Config,
            DOCKER_LAYER_GZIP | DOCKER_FOREIGN_LAYER_GZIP => Kind::Layer(Compression::Gzip),
            DOCKER_LAYER_ZSTD => Kind::Layer(Compression::Zstd),
            DOCKER_LAYER | DOCKER_FOREIGN_LAYER => Kind::Layer(Compression::None),
            _ => Kind::Other,
        },
        _ => Kind::Other,
    }
}

/// Whether a layer of this type must not be pushed where it names URLs (image-spec layer.md "Non-Distributable
/// Layers").
pub fn is_non_distributable(media_type: &MediaType) -> bool {
    match media_type {
        MediaType::ImageLayerNonDistributable
        | MediaType::ImageLayerNonDistributableGzip
        | MediaType::ImageLayerNonDistributableZstd => true,
        MediaType::Other(other) => other.starts_with(DOCKER_FOREIGN_LAYER),
        _ => false,
    }
}

/// The media type of a layer with this compression (image-spec layer.md).
pub fn layer(compression: Compression) -> MediaType {
    match compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    }
}
