//! `doorkeeper quickstart` says where it is once it is there.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;

use crate::process::doorkeeper;
use crate::support::free_ports;

#[test]
fn what_is_announced_can_be_used() {
    let port = free_ports(4);
    let mut command = doorkeeper();
    command.args(["quickstart", "--port", &port.to_string()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    assert!(first.contains(&format!("127.0.0.1:{port}")), "{first}");
    for port in port..port + 4 {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_taken_port_is_named_with_what_to_do_and_nothing_is_announced() {
    let port = free_ports(4);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port + 2)).unwrap();
    let mut command = doorkeeper();
    command.args(["quickstart", "--port", &port.to_string()]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("127.0.0.1:{}", port + 2)), "{said}");
    assert!(said.contains("--port"), "{said}");
    drop(taken);
}
