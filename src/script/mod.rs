//! The language: the only layer that names Rhai.
//!
//! A bound function converts its arguments, calls the library, and converts the result. Nothing here computes; what
//! scripts can call, with its documentation, is in [`bind`], one file a namespace, and the `///` there is the manual.
//!
//! - [`session`] keeps variables and functions from one cell to the next;
//! - [`diagnostic`] turns a failed evaluation into the message a person reads, with its place;
//! - [`manual`] is what scripts can call: it feeds `help()`, completion, and the errors;
//! - [`inspect`] says what a name is, [`results`] keeps the values of cells;
//! - [`args`] reads option maps strictly and turns closures into callbacks;
//! - [`rust_cell`] is Rust beside Rhai: `%%rust`, `rust::name(..)`;
//! - [`display`] shows values, [`show`] says how each kind looks, [`page`] is the HTML they are made of.

pub mod args;
pub mod bind;
pub mod calls;
mod choices;
pub mod complete;
pub mod diagnostic;
pub mod display;
pub mod embedded;
pub mod highlight;
pub mod history;
pub mod host;
mod imports;
pub mod inspect;
pub mod manual;
pub mod page;
pub mod results;
pub mod rust_cell;
pub mod session;
mod show;
mod trial;

use std::sync::Arc;

use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, NativeCallContext, Position};

use crate::error::{Error, Result};
pub use diagnostic::Diagnostic;
pub use display::Display;
pub use host::{Front, Given, Host, Mute};
pub use session::Session;
pub use show::{study_state_text, study_table_text, study_text};

/// The version of Rhai that scripts are written in.
pub const LANGUAGE_VERSION: &str = "1.27";

/// What a bound function returns.
pub type Fallible<T = ()> = std::result::Result<T, Box<EvalAltResult>>;

/// Gives an error its place in the script. Rhai places errors of global functions itself, but not those of
/// `namespace::function` calls.
pub trait At<T> {
    /// The same result, an error placed where `ctx` was called.
    fn at(self, ctx: &NativeCallContext) -> Fallible<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, ctx: &NativeCallContext) -> Fallible<T> {
        self.map_err(|error| {
            // An error that a script's own function raised within the call has a better place than this one.
            match host(ctx).and_then(|host| host.take_raised(&error)) {
                Some(raised) => raised,
                None => raise(error, ctx.call_position()),
            }
        })
    }
}

/// An error as Rhai carries it. An interrupt is carried so that no `catch` of the script holds it up.
pub fn raise(error: Error, place: Position) -> Box<EvalAltResult> {
    let interrupt = error.is_interrupt();
    let value = Dynamic::from(error);
    Box::new(if interrupt {
        EvalAltResult::ErrorTerminated(value, place)
    } else {
        EvalAltResult::ErrorRuntime(value, place)
    })
}

/// The state that bound functions share, if the engine is one of ours.
pub fn host(ctx: &NativeCallContext) -> Option<Arc<Host>> {
    ctx.tag().and_then(|tag| tag.read_lock::<Arc<Host>>().map(|host| Arc::clone(&host)))
}

/// The state that bound functions share, or the error that says it is missing.
pub fn shared(ctx: &NativeCallContext) -> Fallible<Arc<Host>> {
    host(ctx).ok_or_else(|| raise(Error::bug("a function was called outside a session"), ctx.call_position()))
}

/// What `exit(value)` carries out of a script.
#[derive(Clone)]
pub(crate) struct Exit(pub Dynamic);

/// Words that Rhai keeps for itself without using them, which people want as names.
const FREE_WORDS: &[&str] =
    &["new", "match", "with", "default", "case", "sync", "shared", "yield", "use", "module", "package"];

/// An engine that knows every bound function and the habits of a research language.
#[allow(deprecated)] // Rhai marks its hooks as volatile by calling them deprecated.
pub fn engine(host: &Arc<Host>) -> Engine {
    let mut engine = Engine::new();
    engine.set_default_tag(Dynamic::from(Arc::clone(host)));
    engine.set_max_call_levels(1_000);
    engine.set_max_expr_depths(512, 512);
    // Keeping one copy of equal strings costs more than it saves: a full store is searched through at each new string.
    engine.set_max_strings_interned(0);

    let front = Arc::clone(host);
    engine.on_print(move |text| front.front().print(text));
    let front = Arc::clone(host);
    engine.on_debug(move |text, _, place| match place.line() {
        Some(_) => front.front().print(&format!("[{}] {text}", front.place_name(place))),
        None => front.front().print(text),
    });

    // At each operation: one of them may be a long one.
    let stop = host.stop().clone();
    engine.on_progress(move |_| stop.raised().then(|| Dynamic::from(Error::interrupted("interrupted"))));

    engine.on_parse_token(|token, _, _| match token {
        rhai::Token::Reserved(word) if FREE_WORDS.contains(&word.as_str()) => rhai::Token::Identifier(word),
        token => token,
    });

    let globals = Arc::clone(host);
    engine.on_var(move |name, index, ctx| {
        // Positive indices are locals found when the script was parsed.
        let here = ctx.call_level() == 0 && !globals.is_beside();
        if index > 0 || here || ctx.scope().contains(name) {
            return Ok(None);
        }
        globals.global(name).map_err(|error| raise(error, Position::NONE))
    });

    engine.on_missing_function(move |name, args, is_method, mut ctx| {
        // A function of floats called with whole numbers. Only when no overload takes the arguments as they are:
        // the hook also runs when a function that was found has failed.
        if !args.iter().any(|arg| arg.is_int()) || args.len() > 8 {
            return Ok(None);
        }
        // `a += 1` that nothing is bound for is tried as `a = a + 1` next. Strings are put together by it.
        if name.ends_with('=') && !matches!(name, "==" | "!=" | "<=" | ">=") {
            return Ok(None);
        }
        let Some(host) = ctx.tag().read_lock::<Arc<Host>>().map(|host| Arc::clone(&host)) else { return Ok(None) };
        let kinds: Vec<&str> = args.iter().map(|arg| arg.type_name()).collect();
        let Some(kinds) = host.manual(ctx.engine()).as_floats(name, &kinds) else { return Ok(None) };
        let mut converted: Vec<Dynamic> = args.iter().map(|arg| (**arg).clone()).collect();
        for (value, to_float) in converted.iter_mut().zip(kinds) {
            if let (true, Ok(whole)) = (to_float, value.as_int()) {
                *value = Dynamic::from_float(whole as f64);
            }
        }
        let mut refs: Vec<&mut Dynamic> = converted.iter_mut().collect();
        ctx.call_native_fn_raw(name, is_method, &mut refs).map(Some)
    });

    // A key that is read and missing is an error; one that is set is made. (Rhai's hook for missing keys would name those that
    // are near, but cannot tell the two apart.)
    engine.set_fail_on_invalid_map_property(true);

    engine.register_type_with_name::<FnPtr>("function");
    bind::register(&mut engine);
    engine
}
