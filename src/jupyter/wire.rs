//! Messages and the frames they travel in.
//!
//! A message is read with as little opinion as can be: headers and contents stay the JSON that came, unknown keys
//! included, because a request that is only half understood still wants an answer.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zeromq::ZmqMessage;

use crate::error::{Error, Result};

/// A JSON object.
pub type Object = Map<String, Value>;

/// The version of the protocol that is spoken.
pub const PROTOCOL: &str = "5.5";

/// What stands between the addresses and the message.
const DELIMITER: &[u8] = b"<IDS|MSG>";

/// A message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// Where it came from or goes to; of a published message its topic.
    pub ids: Vec<Bytes>,
    /// `msg_id`, `msg_type`, `session`, `username`, `date`, `version`, and whatever else came with it.
    pub header: Object,
    /// The header of the request that it answers.
    pub parent: Object,
    /// Whatever the front end and the kernel tell one another beside the content.
    pub metadata: Object,
    /// What is said.
    pub content: Value,
    /// Bytes beside the JSON.
    pub buffers: Vec<Bytes>,
}

impl Message {
    /// What kind of message it is.
    pub fn kind(&self) -> &str {
        self.header.get("msg_type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The text of the content's `key`; empty if there is none.
    pub fn text(&self, key: &str) -> &str {
        self.content.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The truth of the content's `key`, `default` if it is not there.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.content.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    /// The number of the content's `key`.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.content.get(key).and_then(Value::as_i64)
    }

    /// The subshell that a request is for.
    pub fn subshell(&self) -> Option<&str> {
        self.header.get("subshell_id").and_then(Value::as_str)
    }

    /// When it was sent, in microseconds since 1970; nothing if its header does not say.
    pub fn sent(&self) -> Option<i64> {
        let date = self.header.get("date").and_then(Value::as_str)?;
        match chrono::DateTime::parse_from_rfc3339(date) {
            Ok(date) => Some(date.timestamp_micros()),
            // Some clients leave out the offset, and mean UTC.
            Err(_) => Some(date.parse::<chrono::NaiveDateTime>().ok()?.and_utc().timestamp_micros()),
        }
    }
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

/// Writes and reads messages of one kernel.
pub struct Wire {
    key: Option<Hmac<Sha256>>,
    session: String,
    count: AtomicU64,
}

impl Wire {
    /// Messages signed with `key`; not signed if it is empty.
    ///
    /// # Errors
    /// Should not happen: keys may have any length.
    pub fn new(key: &str) -> Result<Self> {
        let hmac = match key {
            "" => None,
            key => Some(
                Hmac::new_from_slice(key.as_bytes())
                    .map_err(|error| Error::new(format!("the key of the connection file cannot be used: {error}")))?,
            ),
        };
        // A name that no other kernel has had, here or elsewhere.
        let seed = format!("{key} {} {}", std::process::id(), now());
        let digest = Sha256::digest(seed.as_bytes());
        let session = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { key: hmac, session, count: AtomicU64::new(0) })
    }

    /// A name that is given once.
    pub fn fresh_id(&self) -> String {
        format!("{}_{}", self.session, self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// A message of this kernel to `ids` about `parent`.
    pub fn message(&self, ids: Vec<Bytes>, kind: &str, parent: &Object, content: Value) -> Message {
        let header = json!({
            "msg_id": self.fresh_id(),
            "msg_type": kind,
            "session": self.session,
            "username": "fewlab",
            "date": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            "version": PROTOCOL,
        });
        let header = if let Value::Object(header) = header { header } else { Object::new() };
        Message { ids, header, parent: parent.clone(), metadata: Object::new(), content, buffers: Vec::new() }
    }

    /// The answer of `kind` to `request`.
    pub fn reply(&self, request: &Message, kind: &str, content: Value) -> Message {
        let mut reply = self.message(request.ids.clone(), kind, &request.header, content);
        if let Some(id) = request.subshell() {
            reply.header.insert("subshell_id".into(), id.into());
        }
        reply
    }

    /// The frames of a message.
    pub fn encode(&self, message: &Message) -> ZmqMessage {
        let json = |value: &Object| Bytes::from(serde_json::to_vec(value).unwrap_or_default());
        let parts = [
            json(&message.header),
            json(&message.parent),
            json(&message.metadata),
            Bytes::from(serde_json::to_vec(&message.content).unwrap_or_default()),
        ];
        let signature = self.signature(&parts).map_or_else(Bytes::new, |mac| {
            let digest = mac.finalize().into_bytes();
            digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        });
        let mut frames = message.ids.clone();
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(signature);
        frames.extend(parts);
        frames.extend(message.buffers.iter().cloned());
        // There is a first frame: the delimiter at least.
        ZmqMessage::try_from(frames).unwrap_or_else(|_| Bytes::new().into())
    }

    /// The message in the frames; why there is none otherwise.
    ///
    /// # Errors
    /// Frames are missing, the signature is not by our key, or a part is not the JSON it should be.
    pub fn decode(&self, frames: ZmqMessage) -> std::result::Result<Message, &'static str> {
        let mut frames = frames.into_vec();
        let at = frames.iter().position(|frame| frame.as_ref() == DELIMITER).ok_or("it has no delimiter")?;
        let rest = frames.split_off(at + 1);
        frames.truncate(at);
        let [signature, header, parent, metadata, content, buffers @ ..] = rest.as_slice() else {
            return Err("it has too few frames");
        };
        if let Some(mac) = self.signature(&[header.clone(), parent.clone(), metadata.clone(), content.clone()]) {
            let given = hex(signature).ok_or("its signature is not in hexadecimal")?;
            // Takes as long whether the first or the last byte differs.
            mac.verify_slice(&given).map_err(|_| "its signature is not by the key of the connection file")?;
        }
        let object =
            |bytes: &Bytes| serde_json::from_slice::<Object>(bytes).map_err(|_| "a header is not a JSON object");
        let header = object(header)?;
        if !header.get("msg_type").is_some_and(Value::is_string) {
            return Err("its header has no `msg_type`");
        }
        Ok(Message {
            ids: frames,
            header,
            parent: object(parent)?,
            metadata: object(metadata)?,
            content: serde_json::from_slice(content).map_err(|_| "its content is not JSON")?,
            buffers: buffers.to_vec(),
        })
    }

    fn signature(&self, parts: &[Bytes; 4]) -> Option<Hmac<Sha256>> {
        let mut mac = self.key.clone()?;
        parts.iter().for_each(|part| mac.update(part));
        Some(mac)
    }
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(wire: &Wire) -> Message {
        let mut message =
            wire.message(vec![Bytes::from_static(b"client")], "execute_request", &Object::new(), json!({"code": "1"}));
        message.header.insert("subshell_id".into(), "s".into());
        message.buffers.push(Bytes::from_static(&[0, 255]));
        message
    }

    #[test]
    fn a_message_comes_back_whole() {
        let wire = Wire::new("key").unwrap();
        let message = message(&wire);
        let back = wire.decode(wire.encode(&message)).unwrap();
        assert_eq!(back, message);
        assert_eq!((back.subshell(), back.text("code")), (Some("s"), "1"));
        assert!(now() - back.sent().unwrap() < 60_000_000);
    }

    #[test]
    fn the_signature_is_that_of_the_documentation() {
        // echo -n '{}{}{}{}' | openssl dgst -sha256 -hmac key
        let wire = Wire::new("key").unwrap();
        let frames = wire.encode(&Message { content: json!({}), ..Message::default() }).into_vec();
        assert_eq!(frames[1].as_ref(), b"ca767b02c5bc061ed184a9a029e7f93a7f2f7ed4e8fe74120fc1212f0b008fa3".as_slice());
    }

    #[test]
    fn what_is_forged_or_torn_is_refused() {
        let wire = Wire::new("key").unwrap();
        let frames = wire.encode(&message(&wire)).into_vec();
        let refused = |frames: Vec<Bytes>| wire.decode(ZmqMessage::try_from(frames).unwrap()).unwrap_err();
        let mut forged = frames.clone();
        forged[6] = Bytes::from_static(br#"{"code": "2"}"#);
        assert_eq!(refused(forged), "its signature is not by the key of the connection file");
        let other = Wire::new("other").unwrap();
        let foreign = other.encode(&message(&other)).into_vec();
        assert_eq!(refused(foreign), "its signature is not by the key of the connection file");
        assert_eq!(refused(frames[..4].to_vec()), "it has too few frames");
        assert_eq!(refused(vec![Bytes::from_static(b"x")]), "it has no delimiter");
        let mut odd = frames.clone();
        odd[2] = Bytes::from_static("äb".as_bytes());
        assert_eq!(refused(odd), "its signature is not in hexadecimal");
        let open = Wire::new("").unwrap();
        let mut torn = open.encode(&message(&open)).into_vec();
        torn[6] = Bytes::from_static(b"{");
        assert_eq!(open.decode(ZmqMessage::try_from(torn).unwrap()).unwrap_err(), "its content is not JSON");
    }
}
