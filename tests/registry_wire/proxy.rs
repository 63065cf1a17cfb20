//! The program behind proxies that are in the way. In processes of their own, for a proxy comes from the environment.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

/// What the program says that looks for an image behind this proxy.
fn told(proxy: &str) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_dockless"))
        .args(["inspect", "registry.invalid/app:v1"])
        .env_clear()
        .env("HOME", home.path())
        .env("NO_COLOR", "1")
        .env("HTTPS_PROXY", proxy)
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_proxy_in_the_way_is_named_and_its_password_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = listener.local_addr().expect("an address");
    drop(listener);
    let mut proxies = vec![dead];
    for status in ["403 Forbidden", "407 Proxy Authentication Required"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        proxies.push(listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 1024]);
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            }
        });
    }
    for proxy in proxies {
        let text = told(&format!("http://me:hunter2@{proxy}"));
        assert!(text.contains(&format!("the proxy {proxy} gives no connection to it")), "{text}");
        assert!(text.contains("put registry.invalid into NO_PROXY"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_variable_that_names_no_proxy_is_refused() {
    for value in ["http//me:hunter2@proxy:3128", "socks5://me:hunter2@proxy:1080"] {
        let text = told(value);
        assert!(text.contains("HTTPS_PROXY names no proxy that can be used"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
