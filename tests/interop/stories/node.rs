//! Express on Node.js, with a package that has a library for each machine.

use super::super::support::{run, tool};
use super::Story;
use super::bases::Kind;

#[test]
fn a_node_service_serves() {
    let Some(story) = Story::new("a_node_service_serves", "sums", "npm") else { return };
    story.base(Kind::Node, "library/node:18-slim");
    story.write(
        "Dockerfile",
        "FROM node:18-slim\n\
         ENV NODE_ENV=production\n\
         WORKDIR /app\n\
         COPY package*.json ./\n\
         RUN npm ci --omit=dev\n\
         COPY . .\n\
         USER node\n\
         EXPOSE PORT\n\
         CMD [\"node\", \"server.js\"]\n",
    );
    story.write(
        "package.json",
        r#"{"name":"sums","version":"1.0.0","private":true,"dependencies":{"express":"4.21.2","@node-rs/crc32":"1.10.6"}}"#,
    );
    story.write(
        "server.js",
        "const { crc32 } = require('@node-rs/crc32');\nconst app = require('express')();\n\
         app.get('/sum/:text', (request, response) => {\n  \
         response.send(`${crc32(request.params.text)} by Node on ${process.arch} as ${process.getuid()}`);\n});\n\
         app.listen(PORT);\n",
    );
    // Whoever has such a Dockerfile has a lock file as well.
    run(story.prepare(tool("npm")).args(["install", "--package-lock-only"])).ok();
    story.dockless(&["init"]).ok();
    story.build();
    // The sum of "123456789" is the check value of CRC-32.
    story.serves("/sum/123456789", "3421780262 by Node on MACHINE as 1000", ["x64", "arm64"]);
}
