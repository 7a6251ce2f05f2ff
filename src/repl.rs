//! The terminal front end: cells typed one after the other, with history, completion and colours.

use std::borrow::Cow;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nu_ansi_term::{Color, Style};
use reedline::{
    ColumnarMenu, Completer, CompletionResult, EditCommand, Emacs, FileBackedHistory, Highlighter, KeyCode,
    KeyModifiers, MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu,
    Signal, Span, StyledText, Suggestion, ValidationResult, Validator, default_emacs_keybindings,
};

use crate::cli::{SessionArguments, stop_on_interrupt};
use crate::error::{Error, Result};
use crate::figure;
use crate::notebook::{Notebook, magic};
use crate::progress::{Observer, Picture, Stop};
use crate::script::complete::{self, Names};
use crate::script::highlight::{self, Class};
use crate::script::session::{Completeness, completeness, on_script_thread};
use crate::script::{Front, Given, Host};
use crate::terminal::{Manner, Terminal};

/// Lines of history that are kept.
const HISTORY: usize = 10_000;

/// A session whose outside is a terminal; pictures go to files.
struct TerminalFront {
    terminal: Arc<Terminal>,
    pictures: PathBuf,
    count: AtomicU64,
}

impl Front for TerminalFront {
    fn print(&self, text: &str) {
        self.terminal.aside(|| say(text));
    }

    fn complain(&self, text: &str) {
        // A terminal that went away ends the session at its next read.
        let _ = self.terminal.aside(|| writeln!(std::io::stderr(), "{text}"));
    }

    fn show(&self, display: &crate::script::Display) {
        self.print(&display.text);
        for (name, picture) in &display.pictures {
            match self.picture(name, picture) {
                Ok(Some(path)) => self.print(&path),
                Ok(None) => {}
                Err(error) => self.print(&error.to_string()),
            }
        }
    }

    fn input(&self, prompt: &str, secret: bool) -> Result<String> {
        self.terminal.ask(prompt, secret)
    }

    fn interactive(&self) -> bool {
        true
    }

    fn observer(&self) -> Arc<dyn Observer> {
        self.terminal.clone()
    }

    fn record(&self, _name: &str, _value: &serde_json::Value) -> Result<()> {
        Ok(())
    }

    fn picture(&self, name: &str, picture: &Picture) -> Result<Option<String>> {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.pictures.join(format!("{number:03}-{name}.png"));
        std::fs::create_dir_all(&self.pictures).map_err(|error| crate::error::file(&self.pictures, "make", error))?;
        std::fs::write(&path, figure::png(picture)?).map_err(|error| crate::error::file(&path, "write", error))?;
        Ok(Some(path.display().to_string()))
    }
}

fn say(text: &str) {
    // A terminal that went away ends the session at its next read.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Reads cells until there are no more.
///
/// # Errors
/// The device is not there; the terminal cannot be read.
pub fn main(arguments: &SessionArguments) -> Result<()> {
    let stop = Stop::default();
    stop_on_interrupt(&stop)?;
    let given = Given { seed: arguments.seed, device: arguments.device.clone(), ..Given::default() };
    let pictures = std::env::temp_dir().join(format!("fewlab-{}", std::process::id()));
    let terminal = Arc::new(Terminal::new(Manner::choose(false)));
    let front = TerminalFront { terminal: terminal.clone(), pictures, count: AtomicU64::new(0) };
    let mut notebook = Notebook::new(Arc::new(front), stop.clone(), given, Path::new(""));
    notebook.host().device()?;
    on_script_thread(|| {
        let mut number = 1;
        let mut evaluate = |notebook: &mut Notebook, text: &str| {
            stop.clear();
            let result = notebook.cell(text, number, true);
            number += 1;
            terminal.close();
            match result {
                Ok(outcome) => {
                    outcome.page.iter().for_each(|page| say(page));
                    outcome.value.iter().for_each(|value| notebook.host().front().show(value));
                }
                Err(diagnostic) => say(&diagnostic.to_string()),
            }
        };
        match std::io::stdin().is_terminal() {
            true => typed(&mut notebook, &mut evaluate),
            false => piped(&mut notebook, &mut evaluate),
        }
    })?
}

type Evaluate<'a> = &'a mut dyn FnMut(&mut Notebook, &str);

/// Cells from a file or a pipe: lines, until they make a whole cell.
fn piped(notebook: &mut Notebook, evaluate: Evaluate<'_>) -> Result<()> {
    let mut cell = String::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Error::new(format!("cannot read standard input: {error}")))?;
        cell.push_str(&line);
        cell.push('\n');
        let whole = match magic::is_magic(&cell) {
            true => !magic::goes_on(&cell),
            false => notebook.session().completeness(&cell) != Completeness::Incomplete,
        };
        if !cell.trim().is_empty() && whole {
            evaluate(notebook, &cell);
            cell.clear();
        }
    }
    if !cell.trim().is_empty() {
        evaluate(notebook, &cell);
    }
    Ok(())
}

/// Cells typed by a person.
fn typed(notebook: &mut Notebook, evaluate: Evaluate<'_>) -> Result<()> {
    let names = Arc::new(Mutex::new(Names::default()));
    let mut editor = editor(notebook.host(), &names)?;
    say(&format!("fewlab {}: `help()` says what there is, Tab completes, Ctrl-D leaves", env!("CARGO_PKG_VERSION")));
    let mut number = 1usize;
    loop {
        let read = editor
            .read_line(&Numbered(number))
            .map_err(|error| Error::new(format!("cannot read the terminal: {error}")))?;
        match read {
            Signal::Success(text) => {
                let text = text.trim();
                if text.is_empty() {
                    continue;
                }
                evaluate(notebook, text);
                number += 1;
                *names.lock().unwrap_or_else(PoisonError::into_inner) = Names::of(notebook.session());
            }
            Signal::CtrlD => return Ok(()),
            _ => {}
        }
    }
}

fn editor(host: &Arc<Host>, names: &Arc<Mutex<Names>>) -> Result<Reedline> {
    const MENU: &str = "completions";
    let mut keys = default_emacs_keybindings();
    let tab = ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu(MENU.into()), ReedlineEvent::MenuNext]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, tab);
    keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, ReedlineEvent::Edit(vec![EditCommand::InsertNewline]));
    let mut editor = Reedline::create()
        .with_completer(Box::new(Completing { host: Arc::clone(host), names: names.clone() }))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(ColumnarMenu::default().with_name(MENU))))
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_highlighter(Box::new(Colours))
        .with_validator(Box::new(Whole { host: Arc::clone(host) }));
    if let Some(path) = history_file() {
        // Without a history the session is still of use.
        if let Ok(history) = FileBackedHistory::with_file(HISTORY, path) {
            editor = editor.with_history(Box::new(history));
        }
    }
    Ok(editor)
}

fn history_file() -> Option<PathBuf> {
    let home = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    Some(home.join("fewlab/history.txt"))
}

struct Numbered(usize);

impl Prompt for Numbered {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Owned(format!("[{}]", self.0))
    }
    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(" ")
    }
    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("... ")
    }
    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(search: {}) ", search.term))
    }
}

struct Completing {
    host: Arc<Host>,
    names: Arc<Mutex<Names>>,
}

impl Completer for Completing {
    fn complete(&mut self, line: &str, cursor: usize) -> CompletionResult {
        let Ok(engine) = self.host.engine() else { return CompletionResult::fresh(Vec::new()) };
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (start, found) = magic::complete(line.get(..cursor).unwrap_or(line)).unwrap_or_else(|| {
            let found = complete::complete(&self.host, &engine, &names, line, cursor);
            (found.start, found.suggestions)
        });
        let suggestions: Vec<Suggestion> = found
            .into_iter()
            .map(|suggestion| Suggestion {
                value: suggestion.text,
                description: Some(suggestion.about).filter(|about| !about.is_empty()),
                span: Span::new(start, cursor),
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

struct Whole {
    host: Arc<Host>,
}

impl Validator for Whole {
    fn validate(&self, text: &str) -> ValidationResult {
        match self.host.engine() {
            // The editor gives the text without the end of its last line.
            _ if magic::goes_on(&format!("{text}\n")) => ValidationResult::Incomplete,
            Ok(engine) if !magic::is_magic(text) && completeness(&engine, text) == Completeness::Incomplete => {
                ValidationResult::Incomplete
            }
            _ => ValidationResult::Complete,
        }
    }
}

struct Colours;

impl Highlighter for Colours {
    fn highlight(&self, text: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        for (range, class) in highlight::classes(text) {
            let style = match class {
                Class::Keyword => Style::new().fg(Color::Purple),
                Class::Function => Style::new().fg(Color::Blue),
                Class::Text => Style::new().fg(Color::Green),
                Class::Number => Style::new().fg(Color::Cyan),
                Class::Comment => Style::new().fg(Color::DarkGray),
                Class::Plain => Style::new(),
            };
            styled.push((style, text[range].to_string()));
        }
        styled
    }
}
