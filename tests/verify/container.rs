//! The container definition over the image.

use dockless::ecs::target::TargetOptions;
use dockless::layer::contents::Node;
use dockless::oci::platform::Platform;
use dockless::verify::finding::Severity;
use dockless::verify::rules::Options;

use dockless::verify::finding::Verdict::{DoesNotRun, Runs, Undetermined};

use crate::build::*;

#[test]
fn the_container_definition_overrides_the_image() {
    let nodes =
        || vec![exe("usr/bin/app", program(X86)), exe("srv/tool", program(X86)), folder("srv"), link("bin", "usr/bin")];
    let mut config = entry(&["/missing"]);
    config.cmd = vec!["/usr/bin/app".into()];
    let facts = index(vec![image(&Platform::linux_amd64(), vec![nodes()], config)]);
    let missing = ["error entrypoint-not-found /missing"];
    for (container, verdict, findings) in [
        ("", DoesNotRun, &missing[..]),
        (r#""command":["/usr/bin/app"]"#, DoesNotRun, &missing[..]),
        (r#""entryPoint":["/usr/bin/app"]"#, Runs, &[]),
        (r#""entryPoint":["app"]"#, Runs, &[]),
        (r#""entryPoint":["tool"]"#, DoesNotRun, &["error entrypoint-not-found"]),
        (r#""entryPoint":["tool"],"environment":[{"name":"PATH","value":"/bin:/srv"}]"#, Runs, &[]),
        (r#""entryPoint":["./tool"],"workingDirectory":"/srv""#, Runs, &[]),
        (r#""entryPoint":["./tool"]"#, DoesNotRun, &["error entrypoint-not-found ./tool"]),
        (r#""entryPoint":["{{ x }}"]"#, Undetermined, &["note entrypoint-not-found"]),
        (r#""entryPoint":["./tool"],"workingDirectory":"{{ x }}""#, Undetermined, &["note entrypoint-not-found"]),
        (
            r#""entryPoint":["/mnt/x"],"mountPoints":[{"containerPath":"/mnt"}]"#,
            Undetermined,
            &["note entrypoint-not-found /mnt/x"],
        ),
        (
            r#""entryPoint":["/usr/bin/app"],"linuxParameters":{"tmpfs":[{"containerPath":"/usr/bin","size":64}]}"#,
            Undetermined,
            &["note entrypoint-not-found /usr/bin/app"],
        ),
        (
            r#""entryPoint":["/usr/bin/app"],"linuxParameters":{"tmpfs":[{"containerPath":"/tmp","size":64}]}"#,
            Runs,
            &[],
        ),
        (
            r#""entryPoint":["/usr/bin/app"],"mountPoints":[{"containerPath":"/bin"}]"#,
            Undetermined,
            &["note entrypoint-not-found /usr/bin/app"],
        ),
    ] {
        expect(&facts, &task(X86_64, container), verdict, findings);
    }
    let answer = judge(&facts, &task(X86_64, r#""entryPoint":["/nope"]"#));
    let finding = &answer.targets[0].findings[0];
    assert!(finding.message.contains("entryPoint of container \"app\" (td.json:1:"), "{}", finding.message);
    let place = finding.location.as_ref().expect("a place");
    assert!(place.column > 100, "{place}");
}

#[test]
fn of_a_shell_command_the_shell_is_judged() {
    let nodes = || vec![exe("bin/sh", program(X86)), exe("usr/bin/app", program(X86))];
    let facts = |script: &str| amd64(nodes(), &["/bin/sh", "-c", script]);
    expect(&facts("exec app --x"), &task(X86_64, ""), Runs, &[]);
    expect(&facts("cd /x && nothing"), &task(X86_64, ""), Runs, &["note entrypoint-not-found"]);
    let answer = expect(&facts("gunicorn x"), &task(X86_64, ""), Runs, &["note entrypoint-not-found"]);
    assert!(answer.targets[0].findings[0].message.contains("the shell that starts will not find gunicorn"));
    expect(
        &amd64(vec![], &["/bin/sh", "-c", "x"]),
        &task(X86_64, ""),
        DoesNotRun,
        &["error entrypoint-not-found /bin/sh"],
    );
}

#[test]
fn the_container_is_the_named_one_or_that_of_the_repository() {
    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const OTHER: &str = "other@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let two = |image: &str| {
        format!(
            "{{\"family\":\"f\",{X86_64},\"containerDefinitions\":[{{\"name\":\"proxy\",\"image\":\"envoy@{DIGEST}\",\
             \"entryPoint\":[\"/envoy\"]}},{{\"name\":\"app\",\"image\":\"{image}\"}}]}}"
        )
    };
    let facts = amd64(vec![exe("app", program(X86))], &["/app"]);
    expect(&facts, &two("example.com/team/app@{{ digest }}"), Runs, &[]);
    let answer = expect(&facts, &two(OTHER), Runs, &["note container-not-chosen"]);
    assert!(answer.targets[0].findings[0].message.contains("none of proxy, app has an image of this repository"));
    let said = TargetOptions { container: Some("proxy".into()), ..TargetOptions::default() };
    let answer = judge_with(&facts, &two(OTHER), &said, &Options::default());
    assert_eq!(brief(answer.all()), ["error entrypoint-not-found /envoy"]);
    // Nobody knows what the container starts: nothing is certain but the machine.
    expect(
        &amd64(vec![], &[]),
        &two(OTHER),
        Undetermined,
        &["note container-not-chosen", "warning entrypoint-not-found"],
    );
    expect(
        &amd64(vec![exe("app", program(ARM))], &["/app"]),
        &two(OTHER),
        DoesNotRun,
        &["note container-not-chosen", "error foreign-executable /app"],
    );
}

#[test]
fn containers_that_are_not_known_are_said_to_be() {
    let facts = amd64(vec![exe("app", program(X86))], &["/app"]);
    let task = format!("{{\"family\":\"f\",{X86_64},\"containerDefinitions\":[]}}");
    let answer = judge_with(&facts, &task, &TargetOptions::default(), &Options::default());
    let said: Vec<&str> = answer.all().map(|finding| finding.message.as_str()).collect();
    assert!(said.iter().any(|said| said.contains("does not say which containers there are")), "{said:?}");
}

/// Where `/srv/cat` is of another machine, what starts it does not run; where nothing says whether it is started, that
/// is open.
#[test]
fn what_wrappers_shells_and_scripts_start_is_judged() {
    let names = ["sh", "env", "timeout", "nohup", "stdbuf", "nice", "setsid", "su-exec", "catchsegv", "python3"];
    let image = |words: &[&str], machine| {
        let mut nodes: Vec<Node> = names.iter().map(|name| exe(&format!("bin/{name}"), program(X86))).collect();
        nodes.extend([script("run.sh", "/bin/sh -e"), exe("srv/cat", program(machine))]);
        amd64(nodes, words)
    };
    let wrong: &[&[&str]] = &[
        &["/bin/sh", "-c", "exec /srv/cat"],
        &["/bin/sh", "-c", "/srv/cat -x $PORT"],
        &["/bin/sh", "-ec", "A=1 exec timeout 5 /srv/cat"],
        &["/bin/sh", "-c", "exec \"$@\"", "--", "/srv/cat"],
        &["/bin/sh", "-c", "python3 -V; exec /srv/cat"],
        &["/bin/sh", "-c", "cd /srv && ./cat x"],
        &["env", "A=1", "/srv/cat"],
        &["env", "LD_PRELOAD=/x.so", "/srv/cat"],
        &["timeout", "-k", "1", "5", "/srv/cat"],
        &["nohup", "/srv/cat"],
        &["stdbuf", "-oL", "/srv/cat"],
        &["nice", "-n", "5", "/srv/cat"],
        &["setsid", "/srv/cat"],
        &["su-exec", "nobody", "/srv/cat"],
        &["catchsegv", "/srv/cat"],
    ];
    for words in wrong {
        let answer = judge(&image(words, ARM), &task(X86_64, ""));
        assert_eq!(brief(answer.all()), ["error foreign-executable /srv/cat"], "{words:?}");
        assert_eq!(judge(&image(words, X86), &task(X86_64, "")).verdict, Runs, "{words:?}");
    }
    // A name may be a builtin of the shell; a path is none.
    for (text, verdict) in [("/srv/nosuch --port 80", DoesNotRun), ("exec /srv/nosuch", DoesNotRun), ("nosuch", Runs)] {
        assert_eq!(judge(&image(&["/bin/sh", "-c", text], X86), &task(X86_64, "")).verdict, verdict, "{text}");
    }
    let open: &[&[&str]] = &[
        &["/bin/sh", "-c", "[ -f /x ] && /srv/cat"],
        &["/bin/sh", "-c", "if true; then /srv/cat; fi"],
        &["/run.sh", "/srv/cat"],
        &["sh", "/run.sh", "/srv/cat"],
        &["/run.sh"],
        &["python3", "-m", "wrap", "--", "/srv/cat"],
    ];
    for words in open {
        let answer = judge(&image(words, ARM), &task(X86_64, ""));
        assert_eq!(answer.verdict, Undetermined, "{words:?}: {:?}", brief(answer.all()));
        let told = answer.all().find(|finding| finding.path.as_deref() == Some("/srv/cat")).expect("the finding");
        assert!(told.help.as_deref().is_some_and(|help| help.contains("--allow foreign-executable=/srv/cat")));
        let right = judge(&image(words, X86), &task(X86_64, ""));
        assert_eq!(right.verdict, Runs, "{words:?}: {:?}", brief(right.all()));
    }
    // Nothing starts it: python reads no shell script.
    expect(&image(&["python3"], ARM), &task(X86_64, ""), Runs, &["warning foreign-executable /srv/cat"]);
}

/// A script whose text is known is judged by what it starts.
#[test]
fn what_a_scripts_text_starts_is_judged() {
    let with = |text: &str, command: &[&str], machine| {
        let programs = ["bin/sh", "bin/env", "bin/sleep"].map(|path| exe(path, program(X86)));
        let text = script("run.sh", &format!("/bin/sh -e\n{text}"));
        // Nobody asks for the second: a script that may start anything may start it.
        let others = [exe("srv/cat", program(machine)), exe("usr/bin/other", program(machine))];
        let nodes = programs.into_iter().chain([text]).chain(others).collect();
        let mut config = entry(&["/run.sh"]);
        config.cmd = command.iter().map(|word| (*word).to_owned()).collect();
        index(vec![image(&Platform::linux_amd64(), vec![nodes], config)])
    };
    let cat: &[&str] = &["/srv/cat"];
    let sure: &[(&str, &[&str])] = &[
        ("exec \"$@\"", cat),
        ("# why\nset -eu\nexport A=1\nexec env B=2 \"$@\"\n", cat),
        ("if [ -z \"$A\" ]; then echo A >&2; exit 1; fi\nexec /srv/cat", &[]),
        ("sleep 1\nchmod +x /srv/cat\n/srv/cat --port $PORT", &[]),
        ("set -- /srv/cat \"$@\"\nexec \"$@\"", &["x"]),
        ("f() { sleep 1; }\n/srv/cat", &[]),
    ];
    for (text, command) in sure {
        let answer = judge(&with(text, command, ARM), &task(X86_64, ""));
        assert_eq!(answer.verdict, DoesNotRun, "{text}");
        let found = answer.all().find(|finding| finding.path.as_deref() == Some("/srv/cat")).expect("the finding");
        assert!(found.severity == Severity::Error && found.message.contains("starts"), "{found:?}");
        assert_eq!(judge(&with(text, command, X86), &task(X86_64, "")).verdict, Runs, "{text}");
    }
    let open: &[(&str, &[&str])] = &[
        ("if [ \"$1\" = x ]; then exec sleep 1; fi\nexec /srv/cat", &[]),
        ("[ -f /x ] && exec /srv/cat\nexec sleep 1", &[]),
        ("curl -o /srv/cat x\n/srv/cat", &[]),
        (". /env.sh\nexec sleep 1", &[]),
        ("exec \"$APP\"", &[]),
    ];
    for (text, command) in open {
        assert_eq!(judge(&with(text, command, ARM), &task(X86_64, "")).verdict, Undetermined, "{text}");
        assert_eq!(judge(&with(text, command, X86), &task(X86_64, "")).verdict, Runs, "{text}");
    }
    // All that it starts is known, and it starts none of the others.
    for text in ["exec sleep 1", "while true; do sleep 1; done", "exec \"$@\""] {
        assert_eq!(judge(&with(text, &["sleep", "1"], ARM), &task(X86_64, "")).verdict, Runs, "{text}");
    }
    // What is missing at once is missing; what something may have made before need not be.
    for (text, verdict) in
        [("exec /srv/nosuch", DoesNotRun), ("sleep 1; exec /srv/nosuch", Undetermined), ("exec nosuch", DoesNotRun)]
    {
        assert_eq!(judge(&with(text, &[], X86), &task(X86_64, "")).verdict, verdict, "{text}");
    }
}

/// What follows the words that are known may be what is started.
#[test]
fn words_that_are_not_known_leave_it_open_what_is_started() {
    let with = |words: &[&str]| {
        let programs = ["bin/sh", "bin/env", "bin/sleep"].map(|path| exe(path, program(X86)));
        let scripts = ["run.sh", "srv/run.sh"].map(|path| script(path, "/bin/sh -e\nexec \"$@\""));
        amd64(programs.into_iter().chain(scripts).chain([exe("srv/cat", program(ARM))]).collect(), words)
    };
    for (text, verdict) in [
        ("/run.sh sleep 1", Runs),
        ("/run.sh $APP", Undetermined),
        ("/run.sh sleep $SECONDS", Runs),
        ("cd /srv; ./run.sh sleep 1", Undetermined),
        ("exec env $APP", Undetermined),
        ("exec env A=1 sleep $SECONDS", Runs),
        ("sh -c \"$APP\"", Undetermined),
        ("sh /run.sh $APP", Undetermined),
        ("sh -c 'exec \"$@\"' sh $APP", Undetermined),
        ("set -- $APP; exec \"$@\"", Undetermined),
    ] {
        let answer = judge(&with(&["/bin/sh", "-c", text]), &task(X86_64, ""));
        assert_eq!(answer.verdict, verdict, "{text}: {:?}", brief(answer.all()));
    }
    for (entry_point, verdict) in [
        ("/run.sh", Undetermined),
        ("/run.sh\",\"sleep", Runs),
        ("/bin/env", Undetermined),
        ("/bin/sh\",\"-c", Undetermined),
        ("/bin/sleep", Runs),
    ] {
        let container = format!("\"entryPoint\":[\"{entry_point}\"],\"command\":[\"{{{{ x }}}}\"]");
        let answer = judge(&with(&[]), &task(X86_64, &container));
        assert_eq!(answer.verdict, verdict, "{entry_point}: {:?}", brief(answer.all()));
    }
}

/// Each script starts the next twice and more: that is followed so far, and no further.
#[test]
fn scripts_that_start_scripts_are_followed_within_bounds() {
    let text = |next: usize| format!("/bin/sh\n{}", format!("/s{next}\n").repeat(60));
    let mut nodes: Vec<Node> = (0..9).map(|n| script(&format!("s{n}"), &text((n + 1) % 9))).collect();
    nodes.extend([exe("bin/sh", program(X86)), exe("usr/bin/other", program(ARM))]);
    assert_eq!(judge(&amd64(nodes, &["/s0"]), &task(X86_64, "")).verdict, Undetermined);
}

/// A shell goes on where a command cannot be started, unless it is told otherwise: only what it cannot do without is an
/// error. What runs before something that is missing may have made it.
#[test]
fn what_a_shell_can_do_without_does_not_decide() {
    let image = |text: &str| {
        let programs = ["bin/sh", "bin/echo", "bin/cat", "bin/cp", "bin/true"].map(|path| exe(path, program(X86)));
        let agent = [exe("opt/agent", program(ARM)), exe("opt/run", dynamic(X86, "/lib/ld", &["libx.so"]))];
        amd64(programs.into_iter().chain(agent).collect(), &["/bin/sh", "-c", text])
    };
    let missing = "note entrypoint-not-found /opt/hook";
    let foreign = "warning foreign-executable /opt/agent";
    for (text, verdict, findings) in [
        ("/opt/hook || true; exec /bin/echo x", Runs, &[foreign][..]),
        ("/opt/hook; exec /bin/echo x", Undetermined, &[missing, foreign]),
        ("/opt/hook & exec /bin/echo x", Undetermined, &[missing, foreign]),
        ("! /opt/hook; exec /bin/echo x", Undetermined, &[missing, foreign]),
        ("/opt/hook | cat; exec /bin/echo x", Undetermined, &[missing, foreign]),
        ("/opt/hook; /opt/hook; exec /bin/echo x", Undetermined, &[missing, foreign]),
        ("sh -c /opt/hook; exec /bin/echo x", Undetermined, &[missing, foreign]),
        ("/opt/agent || true; exec /bin/echo x", Undetermined, &[foreign]),
        ("/opt/agent; exec /bin/echo x", Undetermined, &[foreign]),
        ("cd /nope && exec /opt/none; exec /bin/echo x", Runs, &[foreign]),
        ("cd /nope; exec ../bin/echo x", Runs, &[foreign]),
        ("echo x >/nope/y && exec /opt/none; exec /bin/echo x", Runs, &[foreign]),
        ("/bin/true x; exec /opt/hook", Undetermined, &[missing, foreign]),
        ("/bin/true x; exec hook", Undetermined, &["note entrypoint-not-found", foreign]),
        ("/bin/true x; exec /opt/run", Undetermined, &["note interpreter-missing /opt/run", foreign]),
        ("/bin/true x; exec /bin/sh /opt/hook", Undetermined, &[missing, foreign]),
        ("cp /bin/echo /opt/hook; exec /opt/hook", Runs, &[foreign]),
        ("/bin/true; /opt/agent & exec /opt/agent", DoesNotRun, &[foreign, "error foreign-executable /opt/agent"]),
    ] {
        expect(&image(text), &task(X86_64, ""), verdict, findings);
    }
    let (missing, foreign) = ("error entrypoint-not-found /opt/hook", "warning foreign-executable /opt/agent");
    for (text, findings) in [
        ("set -e; /opt/hook; exec /bin/echo x", &[missing, foreign][..]),
        ("/opt/hook || exit 1; exec /bin/echo x", &[missing, foreign]),
        ("cd /opt && exec ./hook", &[missing, foreign]),
        ("exec /opt/hook || true", &[missing, foreign]),
        ("/opt/hook && exec /bin/echo x", &[missing, foreign]),
        ("/bin/true x; exec /opt/agent", &["error foreign-executable /opt/agent"]),
    ] {
        expect(&image(text), &task(X86_64, ""), DoesNotRun, findings);
    }
}
