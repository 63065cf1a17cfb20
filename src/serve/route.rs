//! Which endpoint a path names (distribution-spec "Endpoints").
//!
//! A repository's name has slashes in it, and its parts may be called `blobs` or `manifests`: a path is read from its
//! end, where the last but one segment says which endpoint it is. Paths are hostile input: every segment is decoded
//! once, after the split, and nothing here becomes a file name; names, tags and digests are parsed by whoever uses
//! them.

/// The endpoints of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/v2/`
    Base,
    /// `/`, where the control plane of a registry like ECR is.
    Control,
    /// `/token`, where a client of a registry with Bearer tokens gets one.
    Token,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags,
    /// `/v2/<name>/referrers/<digest>`
    Referrers,
    /// `/v2/<name>/manifests/<reference>`
    Manifest,
    /// `/v2/<name>/blobs/<digest>`
    Blob,
    /// `/v2/<name>/blobs/uploads/`, where an upload begins.
    Uploads,
    /// `/v2/<name>/blobs/uploads/<id>`, an upload session.
    Upload,
}

/// A path, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    /// The repository, not yet validated; empty where the endpoint has none.
    pub(super) name: String,
    /// The tag, digest or upload, not yet validated; empty where the endpoint has none.
    pub(super) reference: String,
}

/// The route of a path, or nothing where it names no endpoint.
pub(super) fn route(path: &str) -> Option<Route> {
    let route = |endpoint, name: &[String], reference: &str| {
        Some(Route { endpoint, name: name.join("/"), reference: reference.to_owned() })
    };
    match path {
        "/v2" | "/v2/" => return route(Endpoint::Base, &[], ""),
        "/" => return route(Endpoint::Control, &[], ""),
        "/token" => return route(Endpoint::Token, &[], ""),
        "/v2/_catalog" => return route(Endpoint::Catalog, &[], ""),
        _ => {}
    }
    let segments: Vec<String> = path.strip_prefix("/v2/")?.split('/').map(decode).collect::<Option<_>>()?;
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (endpoint, tail) = match words.as_slice() {
        [.., "tags", "list"] => (Endpoint::Tags, 2),
        [.., "referrers", _] => (Endpoint::Referrers, 2),
        [.., "manifests", _] => (Endpoint::Manifest, 2),
        [.., "blobs", "uploads"] => (Endpoint::Uploads, 2),
        [.., "blobs", "uploads", ""] => (Endpoint::Uploads, 3),
        [.., "blobs", "uploads", _] => (Endpoint::Upload, 3),
        [.., "blobs", _] => (Endpoint::Blob, 2),
        _ => return None,
    };
    let (name, tail) = segments.split_at(segments.len() - tail);
    if name.is_empty() {
        return None;
    }
    let reference = match endpoint {
        Endpoint::Tags | Endpoint::Uploads => "",
        _ => tail.last().map_or("", String::as_str),
    };
    route(endpoint, name, reference)
}

/// A segment without its percent signs, or nothing where that is no text.
fn decode(segment: &str) -> Option<String> {
    if !segment.contains('%') {
        return Some(segment.to_owned());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        if *first == b'%' {
            let digits = others.get(..2)?;
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok()?;
            bytes.push(byte[0]);
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> Option<(Endpoint, String, String)> {
        route(path).map(|route| (route.endpoint, route.name, route.reference))
    }

    #[test]
    fn a_path_is_read_from_its_end() {
        let cases = [
            ("/v2/a/b/blobs/uploads/", Endpoint::Uploads, "a/b", ""),
            ("/v2/a/blobs/uploads", Endpoint::Uploads, "a", ""),
            ("/v2/a/blobs/uploads/17", Endpoint::Upload, "a", "17"),
            ("/v2/a/blobs/uploads/blobs/uploads/", Endpoint::Uploads, "a/blobs/uploads", ""),
            ("/v2/blobs/blobs/sha256%3A00", Endpoint::Blob, "blobs", "sha256:00"),
            ("/v2/manifests/manifests/manifests", Endpoint::Manifest, "manifests", "manifests"),
            ("/v2/a/manifests/tags/list", Endpoint::Tags, "a/manifests", ""),
            ("/v2/a/tags/manifests/list", Endpoint::Manifest, "a/tags", "list"),
            ("/v2/a/referrers/sha256:00", Endpoint::Referrers, "a", "sha256:00"),
            ("/v2/_catalog", Endpoint::Catalog, "", ""),
            ("/v2/", Endpoint::Base, "", ""),
        ];
        for (path, endpoint, name, reference) in cases {
            assert_eq!(parts(path), Some((endpoint, name.into(), reference.into())), "{path}");
        }
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in
            ["/a", "/v1/a", "/v2/a", "/v2/tags/list", "/v2/a/tags/list/", "/v2/a/manifests/%zz", "/v2/%ff/tags/list"]
        {
            assert_eq!(parts(path), None, "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_does_not_make_a_name() {
        let route = route("/v2/..%2F..%2Fetc/tags/list").expect("a route");
        assert!(!crate::oci::reference::valid_repository(&route.name));
    }
}
