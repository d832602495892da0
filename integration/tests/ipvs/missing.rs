//! What IPVS needs and does not find: each is said, with what to do, and the rest is served.

use std::io::{Read, Write};
use std::net::TcpStream;

use tidegate_integration::clock::wait_for;
use tidegate_integration::director::{Director, Launch};
use tidegate_integration::lab::Lab;
use tidegate_integration::sockets::serve;

use super::{PATIENCE, sorted, table, virtual_server, wait_for_table};

/// Keeps the kernel from loading a module, as an administrator would.
fn hide(module: &str) {
    std::fs::create_dir_all("/etc/modprobe.d").unwrap();
    std::fs::write(rule(module), format!("install {module} /bin/false\n")).unwrap();
}

fn unhide(module: &str) {
    std::fs::remove_file(rule(module)).unwrap();
}

fn rule(module: &str) -> String {
    format!("/etc/modprobe.d/hide-{module}.conf")
}

/// One virtual server in the kernel with this scheduler, and one in the proxy.
fn configuration(scheduler: &str) -> String {
    let server = serve(|mut stream| drop(stream.write_all(b"hello")));
    let keys = format!("listen = \"10.0.0.1:80\"\nscheduler = \"{scheduler}\"\ncheck.type = \"none\"");
    virtual_server("kernel", &keys, &["address = \"10.1.0.1:80\""])
        + &format!(
            "[[virtual_server]]\nname = \"proxy\"\nlisten = \"127.0.0.1:8000\"\n\
             [[virtual_server.real_server]]\naddress = \"{server}\"\n"
        )
}

fn says(director: &Director, what: &str) {
    wait_for(&format!("the log to say: {what}"), PATIENCE, || director.log().contains(what).then_some(()));
    wait_for(&format!("the status to say: {what}"), PATIENCE, || {
        director.status().to_string().contains(&what.replace('"', "\\\"")).then_some(())
    });
    let output = String::from_utf8(director.command(&["status"]).stdout).unwrap();
    assert!(output.contains(what), "{output}");
}

fn proxy_serves(director: &Director) {
    wait_for("the proxy's quorum", PATIENCE, || {
        (director.virtual_server("proxy")["quorum"]["held"] == true).then_some(())
    });
    wait_for("the proxy to serve", PATIENCE, || {
        let mut text = String::new();
        TcpStream::connect("127.0.0.1:8000").ok()?.read_to_string(&mut text).ok()?;
        (text == "hello").then_some(())
    });
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    Lab::default().with_program().run(|| {
        let lines = |scheduler| {
            let service = format!("-A -t 10.0.0.1:80 -s {scheduler}");
            sorted([service.as_str(), "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1"])
        };
        hide("ip_vs");
        let director = Director::start(&configuration("rr"));
        says(&director, "connecting to IPVS: this kernel has no IPVS: load it with `modprobe ip_vs`");
        proxy_serves(&director);
        unhide("ip_vs");
        wait_for_table(&lines("rr"));
        assert!(director.status()["director"]["dataplane"]["error"].is_null());
        drop(director);

        hide("ip_vs_mh");
        let director = Director::start(&configuration("mh"));
        says(
            &director,
            "setting the service tcp 10.0.0.1:80: the kernel has no module for it: try `modprobe ip_vs_mh`",
        );
        proxy_serves(&director);
        assert_eq!(table(), lines("rr"), "what cannot be changed stays");
        unhide("ip_vs_mh");
        wait_for_table(&lines("mh"));
        drop(director);

        let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let director = Launch::default().through(&nobody).start(&configuration("rr"));
        says(&director, "this needs the capability CAP_NET_ADMIN");
        proxy_serves(&director);
        assert_eq!(table(), lines("mh"));
    });
}
