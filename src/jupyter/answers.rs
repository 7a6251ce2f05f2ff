//! Requests that are answered at once, also while a cell runs.

use serde_json::{Value, json};

use super::connection::Connection;
use super::kernel::Kernel;
use super::wire::{Message, PROTOCOL};
use crate::notebook::magic;
use crate::script::complete;
use crate::script::session::{Completeness, completeness};
use crate::script::{inspect, rust_cell};

/// What a front end is told about the kernel.
pub fn kernel_info() -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "fewlab",
        "implementation_version": version,
        "language_info": {
            "name": "rhai",
            "version": crate::script::LANGUAGE_VERSION,
            "mimetype": "text/x-rhai",
            "file_extension": ".rhai",
            // Neither CodeMirror nor Pygments knows Rhai; its comments, strings and keywords are nearly Rust's.
            "codemirror_mode": "rust",
            "pygments_lexer": "rust",
            "nbconvert_exporter": "script",
        },
        "banner": format!("Fewlab {version}: a lab for training GANs with few labels. `help()` says what there is, Tab completes."),
        "help_links": [
            { "text": "The Rhai book", "url": "https://rhai.rs/book/" },
            { "text": "High-Fidelity Image Generation With Fewer Labels", "url": "https://arxiv.org/abs/1903.02271" },
        ],
        "supported_features": ["kernel subshells"],
        "debugger": false,
    })
}

/// Where the kernel listens.
pub fn ports(connection: &Connection) -> Value {
    json!({
        "status": "ok",
        "shell_port": connection.shell_port,
        "iopub_port": connection.iopub_port,
        "stdin_port": connection.stdin_port,
        "hb_port": connection.hb_port,
        "control_port": connection.control_port,
    })
}

/// Whether a cell is whole.
pub fn is_complete(kernel: &Kernel, request: &Message) -> Value {
    let code = request.text("code");
    let engine = kernel.host.get().and_then(|host| host.engine().ok());
    let status = match engine {
        _ if magic::is_magic(code) => Completeness::Complete,
        Some(engine) => completeness(&engine, code),
        // The session is just being made: let the person send it.
        None => Completeness::Complete,
    };
    match status {
        Completeness::Complete => json!({ "status": "complete" }),
        Completeness::Invalid => json!({ "status": "invalid" }),
        Completeness::Incomplete => json!({ "status": "incomplete", "indent": indent(code) }),
    }
}

/// The blanks that the next line begins with.
fn indent(code: &str) -> String {
    let last = code.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let blank = &last[..last.len() - last.trim_start().len()];
    let deeper = if last.trim_end().ends_with(['{', '(', '[', '|']) { "    " } else { "" };
    format!("{blank}{deeper}")
}

/// The byte at a place counted in characters.
fn byte_at(text: &str, place: i64) -> usize {
    usize::try_from(place).map_or(text.len(), |place| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at))
}

fn cursor(request: &Message) -> usize {
    let code = request.text("code");
    request.number("cursor_pos").map_or(code.len(), |place| byte_at(code, place))
}

/// How the text at the cursor could go on.
pub fn complete(kernel: &Kernel, request: &Message) -> Value {
    let (code, cursor) = (request.text("code"), cursor(request));
    let found = magic::complete(&code[..cursor]).or_else(|| {
        let host = kernel.host.get()?;
        if let Some(from) = magic::rust_from(code) {
            let found = rust_cell::complete(host, code, from, cursor);
            return Some((found.start, found.suggestions));
        }
        let engine = host.engine().ok()?;
        let found = complete::complete(host, &engine, &kernel.names(), code, cursor);
        Some((found.start, found.suggestions))
    });
    let (start, suggestions) = found.unwrap_or((cursor, Vec::new()));
    let place = |at: usize| code[..at].chars().count();
    let (start, end) = (place(start), place(cursor));
    let types: Vec<Value> = suggestions
        .iter()
        .map(|suggestion| {
            json!({ "start": start, "end": end, "text": suggestion.text, "type": suggestion.kind, "signature": suggestion.about })
        })
        .collect();
    json!({
        "status": "ok",
        "matches": suggestions.iter().map(|suggestion| suggestion.text.as_str()).collect::<Vec<_>>(),
        "cursor_start": start,
        "cursor_end": end,
        "metadata": { "_jupyter_types_experimental": types },
    })
}

/// What the name at the cursor is.
pub fn inspect(kernel: &Kernel, request: &Message) -> Value {
    let detail = request.number("detail_level").unwrap_or(0) > 0;
    let about = inspect::name_at(request.text("code"), cursor(request)).and_then(|name| {
        let host = kernel.host.get()?;
        inspect::about(host, &kernel.names(), &name, detail)
    });
    match about {
        Some(about) => json!({
            "status": "ok", "found": true, "metadata": {},
            "data": { "text/plain": about.text, "text/markdown": about.markdown },
        }),
        None => json!({ "status": "ok", "found": false, "data": {}, "metadata": {} }),
    }
}

/// What was typed before.
pub fn history(kernel: &Kernel, request: &Message) -> Value {
    let n = request.number("n").and_then(|n| usize::try_from(n).ok());
    let found = kernel.history(|history| match request.text("hist_access_type") {
        "range" => {
            let start = request.number("start").unwrap_or(0);
            history.range(request.number("session").unwrap_or(0), start, request.number("stop"))
        }
        "search" => {
            let pattern = request.content.get("pattern").and_then(Value::as_str).unwrap_or("*");
            history.search(pattern, n, request.flag("unique", false))
        }
        _ => history.tail(n.unwrap_or(1000)),
    });
    let outputs = request.flag("output", false);
    let entries: Vec<Value> = found
        .unwrap_or_default()
        .into_iter()
        .map(|entry| match outputs {
            true => json!([entry.session, entry.line, [entry.input, entry.output]]),
            false => json!([entry.session, entry.line, entry.input]),
        })
        .collect();
    json!({ "status": "ok", "history": entries })
}

/// What the process uses, for the panel that JupyterLab shows.
pub fn usage() -> Value {
    let memory = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    json!({
        "status": "ok",
        "hostname": std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim(),
        "pid": std::process::id(),
        "cpu_count": std::thread::available_parallelism().map_or(1, usize::from),
        "kernel_memory": memory.map(|kilobytes| kilobytes * 1024),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        assert_eq!(byte_at("aäb", 2), 3);
        assert_eq!(byte_at("aäb", 9), 4);
        assert_eq!(byte_at("ab", -1), 2);
    }

    #[test]
    fn the_next_line_stands_deeper_in_an_open_block() {
        assert_eq!(indent("fn f(a) {"), "    ");
        assert_eq!(indent("fn f(a) {\n    let b = [\n"), "        ");
        assert_eq!(indent("    let b ="), "    ");
    }
}
