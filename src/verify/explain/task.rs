//! The pages of the rules on what a task definition says beside the program.

pub(super) const PORT_NOT_EXPOSED: &str = "\
port-not-exposed: the task maps a port that the image does not expose

ECS does not read EXPOSE: it is the word of the image's author on where the program listens. Where the image exposes
ports and the task maps none of them, one of the two is likely mistyped: a warning, and no error, since the program may
listen where it is told to. Where only some of the mapped ports are not exposed, it is a note. An image that exposes
nothing says nothing.

What ECS says, if the port is the one that is wrong:
  service web (port 8080) is unhealthy in target-group web due to (reason Request timed out)

To repair, state the port at which the program listens as containerPort, or expose it in the image.

To allow: --allow port-not-exposed
";

pub(super) const HEALTH_CHECK_NOT_FOUND: &str = "\
health-check-not-found: the health check starts what the image does not have

The command of healthCheck runs inside the container: [\"CMD\", PROGRAM, ...] as it is, [\"CMD-SHELL\", SCRIPT] by /bin/sh.
A slim image often has no curl, and a distroless one no shell. It is a warning, and no error: the program starts, but
the container never becomes healthy, and ECS replaces the task again and again where the container is essential. Of a
script the first word is looked at, where no quoting, second way (`||`) or list that follows leaves it open.

What ECS says:
  Task failed container health checks

To repair, put the program into the image, or let the application's own program ask.

To allow: --allow health-check-not-found
";

pub(super) const STORAGE_TOO_SMALL: &str = "\
storage-too-small: the image does not fit on the ephemeral storage of the task

A Fargate task keeps the image on its ephemeral storage, compressed and unpacked: 20 GiB where nothing is said. Files
that a later layer deletes or replaces count as well, since every layer is unpacked. It is an error where the files
alone are more than there is, and a warning where they are with their compressed layers.

What ECS says:
  CannotPullContainerError: ... no space left on device

To repair, state \"ephemeralStorage\": {\"sizeInGiB\": 40} (21 to 200), or make the image smaller.

To allow: --allow storage-too-small
";

pub(super) const NETWORK_MODE: &str = "\
network-mode: the launch type does not have the network mode

A task definition that is to be compatible with Fargate has networkMode awsvpc. It is an error: ECS does not register
it, so no image runs on it. A definition that states no network mode is left to ECS.

What ECS says:
  ClientException: Fargate only supports network mode 'awsvpc'.

To repair, state \"networkMode\": \"awsvpc\".

To allow: --allow network-mode
";

pub(super) const HOST_PORT_DIFFERS: &str = "\
host-port-differs: a host port is not the container port where both are the same port

With networkMode awsvpc or host a container has the ports of its network interface or host themselves, so that a
hostPort says nothing that containerPort does not. It is an error: ECS does not register another number.

What ECS says:
  ClientException: When networkMode=awsvpc, the host ports and container ports in port mappings must match.

To repair, leave hostPort out.

To allow: --allow host-port-differs
";

pub(super) const FARGATE_SIZE: &str = "\
fargate-size: Fargate has no tasks of this size

Fargate sells CPU and memory together: with 256 CPU units 512 MiB, 1 or 2 GiB; with 512 1 to 4 GiB; with 1024 2 to 8
GiB; with 2048 4 to 16 GiB; with 4096 8 to 30 GiB; with 8192 16 to 60 GiB in steps of 4; with 16384 32 to 120 GiB in
steps of 8. It is an error: ECS does not register another pair. Sizes beyond that, Windows, and definitions that do not
say both are left to ECS.

What ECS says:
  ClientException: No Fargate configuration exists for given values.

To repair, state a pair of cpu and memory of the list.

To allow: --allow fargate-size
";

pub(super) const REGION_DIFFERS: &str = "\
region-differs: the task takes its image from another region

The image was verified by a reference of Amazon ECR in one region, and the task definition names a registry in another.
It is a warning, and no error: the task can pull from another region, and the same image may be replicated there, but
what was pushed just now is not what it takes.

What ECS says, where the image is not there:
  CannotPullContainerError: ... failed to resolve ref ...: not found

To repair, name the region into which the image is pushed, or replicate the repository.

To allow: --allow region-differs
";

pub(super) const REPOSITORY_DIFFERS: &str = "\
repository-differs: the task takes its image from another repository

The image was verified by a reference of one repository, and the container that it is judged for names another one of
the same registry, or another account's. It is a warning, and no error: the verdict is about the image and the task, and
the reference may be put in later. Names of different registries are not compared, unless both are Amazon ECR's.

To repair, name the repository into which the image is pushed, or the container that runs it (--container);
dockless render --image CONTAINER=REFERENCE puts it in.

To allow: --allow repository-differs
";

pub(super) const DIGEST_DIFFERS: &str = "\
digest-differs: the task names another digest than the image's

The task definition, as it stands, runs another image than the one that was verified. It is a note: that is how every
pipeline looks before it puts the new digest in.

To repair: dockless render --image CONTAINER=REFERENCE

To allow: --allow digest-differs
";

pub(super) const MUTABLE_REFERENCE: &str = "\
mutable-reference: the task names the image by a tag

A tag may be moved after the image was verified, so that the task runs what nobody looked at. It is a note: ECS pins a
service's deployment to the digest that the tag had when its first task started, and many tags are never moved. Nothing
is said of other images of the task, nor of an image that was verified in a folder or archive, before it had a tag.

To repair, name the image by digest: dockless render --image CONTAINER=REFERENCE

To allow: --allow mutable-reference
";

pub(super) const LOG_REGION_DIFFERS: &str = "\
log-region-differs: the logs of a container go to another region

The image comes from Amazon ECR in one region, and awslogs-region names another. It is a note: one registry for several
regions is usual, and logs may be gathered in one. A mistyped region keeps the task from starting.

What ECS says:
  ResourceInitializationError: failed to validate logger args: ... The task cannot find the Amazon CloudWatch log group

To repair, state the region in which the task runs.

To allow: --allow log-region-differs
";

pub(super) const SECRET_IN_IMAGE: &str = "\
secret-in-image: a file that was hardly meant to be in an image

Whoever may pull an image has every file of every layer, those that a later layer deletes included. Told of are private
keys in PEM form that no password is known to protect, .env files (.env.example is none), .git folders, .netrc,
.git-credentials, .pgpass and .aws/credentials. Files of packages (/usr/lib, node_modules, site-packages, tests and
examples) are passed over. It is a warning: the image runs, and a key may be meant for tests.

To repair, leave the file out (.dockerignore; exclude in the recipe), give it to the container as a secret of the task
definition, and where the image was pushed already take another secret.

To allow: --allow secret-in-image=/app/tests/**
";

pub(super) const SIDECAR_PLATFORM_MISSING: &str = "\
sidecar-platform-missing: the image of another container has nothing for the platform of the task

All containers of a task run on one machine, so each image must have its platform: an ARM64 task with a log router that
is built for amd64 alone does not start. It is an error for an essential container (which it is unless essential is
false), and a warning for another, without which the task goes on. Containers whose images were not looked at are not
judged.

What ECS says:
  CannotPullContainerError: ... image Manifest does not contain descriptor matching platform 'linux/arm64'

To repair, take an image that has the platform, or run the task on the other architecture.

To allow: --allow sidecar-platform-missing
";
