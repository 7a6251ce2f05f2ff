//! The file by which Jupyter tells a kernel where to listen.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result, file};

/// Where to listen, and the key that signs messages. Keys of the file that are not here are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Connection {
    /// `tcp` or `ipc`.
    #[serde(default = "tcp")]
    pub transport: String,
    /// The address, or for `ipc` the start of a path.
    pub ip: String,
    /// Requests to run and ask.
    pub shell_port: u16,
    /// What everybody sees.
    pub iopub_port: u16,
    /// Questions to the person.
    pub stdin_port: u16,
    /// Interrupts and the end.
    pub control_port: u16,
    /// Echoes.
    pub hb_port: u16,
    /// The key of signatures; empty for none.
    #[serde(default)]
    pub key: String,
    /// How messages are signed.
    #[serde(default = "sha256")]
    pub signature_scheme: String,
}

fn tcp() -> String {
    "tcp".into()
}

fn sha256() -> String {
    "hmac-sha256".into()
}

impl Connection {
    /// Reads the file.
    ///
    /// # Errors
    /// The file cannot be read, is not what Jupyter writes, or asks for what is not there.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            file(path, "read", error)
                .help("Jupyter writes this file when it starts a kernel; `fewlab install` makes the kernel known to it")
        })?;
        let connection: Self = serde_json::from_str(&text).map_err(|error| {
            Error::new(format!("`{}` is not a connection file: {error}", path.display()))
                .help("it is a JSON object with `ip`, `key`, `shell_port`, `iopub_port`, `stdin_port`, `control_port` and `hb_port`")
        })?;
        if !["tcp", "ipc"].contains(&connection.transport.as_str()) {
            return Err(Error::new(format!(
                "`{}` asks for the transport `{}`; there are `tcp` and `ipc`",
                path.display(),
                connection.transport
            )));
        }
        if !connection.key.is_empty() && connection.signature_scheme != "hmac-sha256" {
            return Err(Error::new(format!(
                "`{}` asks for signatures by `{}`; there is `hmac-sha256`",
                path.display(),
                connection.signature_scheme
            )));
        }
        Ok(connection)
    }

    /// The address of a socket with this port.
    pub fn endpoint(&self, port: u16) -> String {
        match self.transport.as_str() {
            "ipc" => format!("ipc://{}-{port}", self.ip),
            // An address of version 6 stands in brackets.
            _ if self.ip.contains(':') && !self.ip.starts_with('[') => format!("tcp://[{}]:{port}", self.ip),
            _ => format!("tcp://{}:{port}", self.ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Connection> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel.json");
        std::fs::write(&path, text).unwrap();
        Connection::read(&path)
    }

    #[test]
    fn a_file_with_more_keys_than_are_known_is_read() {
        let text = r#"{"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5,
            "ip": "127.0.0.1", "key": "k", "transport": "tcp", "signature_scheme": "hmac-sha256", "kernel_name": "x",
            "jupyter_session": "/a b.ipynb"}"#;
        let connection = read(text).unwrap();
        assert_eq!(connection.endpoint(connection.hb_port), "tcp://127.0.0.1:5");
        let ipc = Connection { transport: "ipc".into(), ip: "/run/k".into(), ..connection.clone() };
        assert_eq!(ipc.endpoint(1), "ipc:///run/k-1");
        assert_eq!(Connection { ip: "::1".into(), ..connection }.endpoint(1), "tcp://[::1]:1");
    }

    #[test]
    fn what_is_no_connection_file_is_said() {
        assert!(read("{}").unwrap_err().message.contains("is not a connection file: missing field `ip`"));
        assert!(Connection::read(Path::new("/nowhere/k.json")).unwrap_err().message.contains("cannot read"));
        let text = r#"{"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5,
            "ip": "x", "transport": "carrier-pigeon"}"#;
        assert!(read(text).unwrap_err().message.contains("asks for the transport `carrier-pigeon`"));
    }
}
