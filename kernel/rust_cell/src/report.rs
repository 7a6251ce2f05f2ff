//! What went wrong, for Fewlab to say.

use evcxr::{CompilationError, Error};
use serde_json::{Value as Json, json};

/// In one text.
pub fn text(error: &Error) -> String {
    match error {
        Error::CompilationErrors(errors) => {
            errors.iter().map(CompilationError::rendered).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// With its places in the cell.
pub fn json(error: &Error) -> Json {
    match error {
        Error::CompilationErrors(errors) => json!({ "errors": errors.iter().map(compilation).collect::<Vec<_>>() }),
        Error::SubprocessTerminated(message) => json!({ "message": message, "terminated": true }),
        other => json!({ "message": other.to_string() }),
    }
}

fn compilation(error: &CompilationError) -> Json {
    let spans: Vec<Json> = error
        .spanned_messages()
        .iter()
        .filter_map(|message| {
            let span = message.span.as_ref()?;
            Some(json!({
                "from": [span.start_line, span.start_column],
                "to": [span.end_line, span.end_column],
                "label": message.label,
                "primary": message.is_primary,
            }))
        })
        .collect();
    let mut help: Vec<String> = error.help();
    help.extend(error.evcxr_extra_hint().map(ToString::to_string));
    json!({
        "message": error.message(),
        "code": error.code(),
        "level": error.level(),
        "spans": spans,
        "help": help,
        "notes": error.help_spanned().iter().map(|note| &note.label).collect::<Vec<_>>(),
    })
}
