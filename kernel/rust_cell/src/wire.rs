//! Messages: JSON, each behind its length in four bytes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

/// Where messages to Fewlab go.
#[derive(Clone)]
pub struct Outlet(Arc<Mutex<File>>);

impl Outlet {
    /// Takes standard output for messages; what prints there from now on goes to standard error.
    pub fn take() -> std::io::Result<Self> {
        // SAFETY: both numbers are open, and the new one is nobody else's.
        unsafe {
            let out = libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 3);
            if out < 0 || libc::dup2(2, 1) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(Self(Arc::new(Mutex::new(File::from_raw_fd(out)))))
        }
    }

    /// Sends a message. If nobody reads, the end of standard input will say so.
    pub fn send(&self, message: &Json) {
        let Ok(text) = serde_json::to_vec(message) else { return };
        let mut whole = (text.len() as u32).to_le_bytes().to_vec();
        whole.extend_from_slice(&text);
        if let Ok(mut file) = self.0.lock() {
            let _ = file.write_all(&whole);
        }
    }
}

/// The next message; nothing at the end.
pub fn read(from: &mut impl Read) -> Option<Json> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut text = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
