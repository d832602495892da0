//! gRPC and WebSocket checks against Python's servers from Debian, WebSocket behind nginx.

use std::net::SocketAddr;

use tidegate_integration::nginx::Nginx;
use tidegate_integration::peer::{self, Peer};
use tidegate_integration::pki::{Authority, Leaf};
use tidegate_integration::sockets::free_port;

use crate::server;
use crate::written::{certificate, outcome};

/// Debian's own, whatever else is in the path.
const PYTHON: &str = "/usr/bin/python3";

/// gRPC's own server, and protocol buffers' own encoding. `shop` serves, `drained` does not.
const GRPC: &str = r#"
import sys, grpc
from concurrent.futures import ThreadPoolExecutor
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

file = descriptor_pb2.FileDescriptorProto(name="health.proto", package="grpc.health.v1", syntax="proto3")
request = file.message_type.add(name="HealthCheckRequest")
request.field.add(name="service", number=1, type=9, label=1)
response = file.message_type.add(name="HealthCheckResponse")
status = response.enum_type.add(name="ServingStatus")
for number, name in enumerate(["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]):
    status.value.add(name=name, number=number)
response.field.add(name="status", number=1, type=14, label=1, type_name=".grpc.health.v1.HealthCheckResponse.ServingStatus")
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
message = lambda name: message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("grpc.health.v1." + name))
Request, Response = message("HealthCheckRequest"), message("HealthCheckResponse")
SERVICES = {"": 1, "shop": 1, "drained": 2, "young": 0, "odd": 3}

def check(request, context):
    if request.service not in SERVICES:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service: " + request.service)
    return Response(status=SERVICES[request.service])

def serve(address, handlers, credentials=None):
    server = grpc.server(ThreadPoolExecutor(2), handlers=handlers)
    if credentials:
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    server.start()
    return server

clear, secure, empty, certificate, key = sys.argv[1:]
handler = grpc.unary_unary_rpc_method_handler(check, Request.FromString, Response.SerializeToString)
health = [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})]
credentials = grpc.ssl_server_credentials([(open(key, "rb").read(), open(certificate, "rb").read())])
servers = [serve(secure, health, credentials), serve(empty, []), serve(clear, health)]
servers[0].wait_for_termination()
"#;

fn grpc(leaf: &Leaf, directory: tempfile::TempDir) -> (Peer, [SocketAddr; 3]) {
    let addresses = [free_port(), free_port(), free_port()];
    let [clear, secure, empty] = addresses.map(|address| address.to_string());
    let (certificate, key) = (leaf.certificate.display().to_string(), leaf.key.display().to_string());
    let arguments = ["-c", GRPC, &clear, &secure, &empty, &certificate, &key];
    (Peer::start("python3-grpcio", PYTHON, &arguments, directory, addresses[0]), addresses)
}

#[tokio::test]
async fn grpc_health() {
    let authority = Authority::new();
    let directory = peer::directory();
    let leaf = certificate(&authority, directory.path());
    let (_server, [clear, secure, empty]) = grpc(&leaf, directory);
    let ca = format!("tls = \"implicit\"\nca_file = \"{}\"\n", authority.certificate().display());
    let check = |service: &str| format!("type = \"grpc\"\nservice = \"{service}\"\n");

    for (case, address, keys) in [
        ("the server", clear, "type = \"grpc\"".to_owned()),
        ("right", clear, check("shop")),
        ("TLS", secure, check("shop") + &ca),
        ("another host", clear, check("shop") + "host = \"shop.example.com\""),
    ] {
        assert_eq!(outcome(case, address, &keys).await, "passed: SERVING");
    }
    for (case, address, service, expected) in [
        ("not serving", clear, "drained", "NOT_SERVING instead of SERVING"),
        ("not known yet", clear, "young", "UNKNOWN instead of SERVING"),
        ("unknown service", clear, "odd", "SERVICE_UNKNOWN instead of SERVING"),
        (
            "no such service",
            clear,
            "nothing",
            "grpc-status NOT_FOUND instead of SERVING: \"no such service: nothing\"",
        ),
        (
            "no health service",
            empty,
            "",
            "grpc-status UNIMPLEMENTED instead of SERVING: \"Method not found!\"",
        ),
    ] {
        let keys = if service.is_empty() { "type = \"grpc\"".to_owned() } else { check(service) };
        assert_eq!(outcome(case, address, &keys).await, format!("wrong answer: {expected}"));
    }
    let tls = format!("{}tls = \"implicit\"\n", check("shop"));
    let text = outcome("unknown issuer", secure, &tls).await;
    assert_eq!(text, "TLS failed: the certificate's issuer is none of the roots");
    let text = outcome("wrong name", secure, &(check("shop") + &ca + "sni = \"shop.example.com\"")).await;
    assert!(text.starts_with("TLS failed: the certificate is not for \"shop.example.com\""), "{text}");
}

/// A web server that speaks HTTP/2, but is none of gRPC's, and one that does not.
#[tokio::test]
async fn grpc_at_a_web_server() {
    let (http2, http1) = (free_port(), free_port());
    let _nginx = Nginx::start(&format!("server {{ listen {http2} http2; }} server {{ listen {http1}; }}"));
    let text = outcome("web server", http2, "type = \"grpc\"").await;
    assert_eq!(text, "wrong answer: the answer is not gRPC's: 404 Not Found, \"text/html\"");
    let text = outcome("HTTP/1", http1, "type = \"grpc\"").await;
    assert!(text.starts_with("wrong answer: the answer is not HTTP/2 but HTTP/1: "), "{text}");
}

/// Says how each connection ended; greets at `/greet`.
const WEBSOCKETS: &str = r#"
import asyncio, sys, websockets

async def serve(socket):
    if socket.path == "/greet":
        await socket.send("x" * 70000)
    try:
        await socket.recv()
    except websockets.ConnectionClosed as closed:
        print(socket.path, type(closed).__name__, closed.code, flush=True)

async def main():
    host, port = sys.argv[1].split(":")
    async with websockets.serve(serve, host, int(port), subprotocols=["chat"], origins=[None, "https://example.com"]):
        await asyncio.Future()

asyncio.run(main())
"#;

#[tokio::test]
async fn websocket() {
    let authority = Authority::new();
    let (directory, address, proxy, secure) = (peer::directory(), free_port(), free_port(), free_port());
    let leaf = certificate(&authority, directory.path());
    let arguments = ["-c", WEBSOCKETS, &address.to_string()];
    let server = Peer::start("python3-websockets", PYTHON, &arguments, directory, address);
    let _nginx = Nginx::start(&format!(
        "server {{ listen {proxy}; listen {secure} ssl; ssl_certificate {}; ssl_certificate_key {};
         location / {{ proxy_pass http://{address}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
         proxy_set_header Connection $http_connection; }}
         location /plain {{ return 200; }} }}",
        leaf.certificate.display(),
        leaf.key.display()
    ));
    let ca = format!("tls = \"implicit\"\nca_file = \"{}\"\n", authority.certificate().display());
    let check = |path: &str, keys: &str| format!("type = \"websocket\"\npath = \"{path}\"\n{keys}\n");
    let opened = "passed: 101 Switching Protocols";
    for (case, address, path, keys) in [
        ("right", address, "/right", ""),
        ("behind nginx", proxy, "/nginx", ""),
        ("TLS", secure, "/tls", ca.as_str()),
        ("subprotocol", secure, "/chat", &format!("{ca}subprotocol = \"chat\"")),
        ("headers", address, "/origin", "headers = { Origin = \"https://example.com\" }"),
        ("host", proxy, "/host", "host = \"www.example.com\""),
    ] {
        assert_eq!(outcome(case, address, &check(path, keys)).await, opened);
        let closed = format!("{path} ConnectionClosedOK 1000");
        tidegate_integration::clock::wait_for(&closed, std::time::Duration::from_secs(5), || {
            server.output().contains(&closed).then_some(())
        });
    }
    assert_eq!(outcome("a server that speaks first", address, &check("/greet", "")).await, opened);

    for (case, address, path, keys, expected) in [
        ("no websocket", proxy, "/plain", "", "200 OK instead of 101 Switching Protocols"),
        (
            "wrong origin",
            address,
            "/",
            "headers = { Origin = \"https://example.org\" }",
            "403 Forbidden instead of 101 Switching Protocols",
        ),
        (
            "wrong subprotocol",
            address,
            "/",
            "subprotocol = \"mqtt\"",
            "101 Switching Protocols, but Sec-WebSocket-Protocol is none instead of \"mqtt\"",
        ),
    ] {
        let text = outcome(case, address, &check(path, keys)).await;
        assert_eq!(text, format!("wrong answer: {expected}"));
    }
    let text = outcome("unknown issuer", secure, &check("/", "tls = \"implicit\"")).await;
    assert_eq!(text, "TLS failed: the certificate's issuer is none of the roots");

    let copied = server::answering(&[
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ])
    .await;
    let text = outcome("another key's answer", copied, "type = \"websocket\"").await;
    let start = "wrong answer: 101 Switching Protocols, but Sec-WebSocket-Accept is \
        \"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\" instead of \"";
    assert!(text.starts_with(start), "{text}");
}
