//! A Go binary, compiled here for both platforms.

use super::Story;
use super::bases::Kind;

#[test]
fn a_go_binary_serves() {
    let Some(story) = Story::new("a_go_binary_serves", "api", "go") else { return };
    story.base(Kind::Static, "distroless/static-debian12:nonroot");
    story.write(
        "Dockerfile",
        "FROM --platform=$BUILDPLATFORM golang:1.23 AS build\n\
         ARG TARGETOS TARGETARCH\n\
         WORKDIR /src\n\
         COPY go.mod ./\n\
         RUN go mod download\n\
         COPY . .\n\
         RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \\\n    \
         go build -trimpath -ldflags=\"-s -w\" -o /out/server ./cmd/server\n\n\
         FROM gcr.io/distroless/static-debian12:nonroot\n\
         COPY --from=build /out/server /server\n\
         USER 65532:65532\n\
         EXPOSE PORT\n\
         ENTRYPOINT [\"/server\"]\n",
    );
    story.write("go.mod", "module example.com/api\n\ngo 1.21\n");
    story.write(
        "cmd/server/main.go",
        "package main\n\nimport (\n\t\"fmt\"\n\t\"log\"\n\t\"net/http\"\n\t\"os\"\n\t\"runtime\"\n)\n\n\
         func main() {\n\thttp.HandleFunc(\"/hello\", func(w http.ResponseWriter, r *http.Request) {\n\t\t\
         fmt.Fprintf(w, \"Go on %s as %d\\n\", runtime.GOARCH, os.Getuid())\n\t})\n\t\
         log.Fatal(http.ListenAndServe(\":PORT\", nil))\n}\n",
    );
    story.dockless(&["init"]).ok();
    story.build();
    story.serves("/hello", "Go on MACHINE as 65532", ["amd64", "arm64"]);
}
