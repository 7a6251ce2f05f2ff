//! What scripts call without a namespace that is not about tensors: parameters, reports, help, checks.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, NativeCallContext};

use crate::error::Error;
use crate::script::{At, Display, Exit, Fallible, args, display, raise, shared};

pub(super) fn register(engine: &mut Engine) {
    display::know::<Error>(engine);
    display::know::<Shown>(engine);
    engine.register_global_module(rhai::exported_module!(functions).into());
}

impl display::Show for Error {
    const NAME: &'static str = "Error";

    fn short(&self) -> String {
        self.message.clone()
    }
}

/// A place where a value is shown, and can be replaced.
#[derive(Clone)]
pub struct Shown {
    id: String,
}

impl display::Show for Shown {
    const NAME: &'static str = "Display";

    fn short(&self) -> String {
        "a place where a value is shown".into()
    }

    fn full(&self) -> Display {
        // As the last value of a cell it would repeat what stands there already.
        Display::default()
    }
}

#[export_module]
mod functions {
    /// The parameter called `name`: what `--set name=value` gave, else `default`.
    ///
    /// What is given is read as the kind of value that `default` is; what does not fit is an error. A parameter that
    /// is given and that the script never asks for is an error too.
    ///
    /// ```rhai
    /// param("labels", 0.1) // => 0.1
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn param(ctx: NativeCallContext, name: &str, default: Dynamic) -> Fallible<Dynamic> {
        let default = args::value_of(&ctx, name, default)?;
        let value = shared(&ctx)?.param(name, default).at(&ctx)?;
        Ok(args::dynamic_of(&value))
    }

    /// Says what was measured: the number goes to the run's `metrics.jsonl` and its report.
    ///
    /// ```rhai
    /// report("fd", 61.2) // => ()
    /// ```
    #[rhai_fn(name = "report", return_raw, volatile)]
    pub fn report_once(ctx: NativeCallContext, name: &str, value: Dynamic) -> Fallible {
        let value = super::measured(&ctx, value)?;
        shared(&ctx)?.front().observer().value("script", 0, name, value);
        Ok(())
    }

    /// Says what was measured at a step, for a curve through time.
    ///
    /// ```rhai
    /// for step in 1..4 { report("loss", 1.0 / step, step); } // => ()
    /// ```
    #[rhai_fn(name = "report", return_raw, volatile)]
    pub fn report_step(ctx: NativeCallContext, name: &str, value: Dynamic, step: i64) -> Fallible {
        let value = super::measured(&ctx, value)?;
        let step = args::count(&ctx, "step", step)?;
        shared(&ctx)?.front().observer().value("script", step as u64, name, value);
        Ok(())
    }

    /// Shows a value in full: a tensor with its range, a table, a picture.
    ///
    /// Pictures of a run are kept in its folder, and where they lie is printed.
    ///
    /// ```rhai
    /// show([1, 2]) // => ()
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn show(ctx: NativeCallContext, value: Dynamic) -> Fallible {
        shared(&ctx)?.front().show(&display::full(&value));
        Ok(())
    }

    /// Shows a value in a place that can be shown again: what it gives has `update(value)`, which replaces it there.
    ///
    /// A terminal, which cannot take back what it showed, shows the new value below.
    ///
    /// ```rhai
    /// let place = display("step 1");
    /// place.update("step 2") // => ()
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn display(ctx: NativeCallContext, value: Dynamic) -> Fallible<super::Shown> {
        let host = shared(&ctx)?;
        let place = super::Shown { id: host.fresh_id() };
        host.front().show_again(&place.id, &display::full(&value), true);
        Ok(place)
    }

    /// Replaces what is shown in a place that `display` gave.
    ///
    /// ```rhai
    /// display(0).update(1) // => ()
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn update(ctx: NativeCallContext, place: super::Shown, value: Dynamic) -> Fallible {
        shared(&ctx)?.front().show_again(&place.id, &display::full(&value), false);
        Ok(())
    }

    /// Takes back what the cell has shown so far; nothing in a terminal.
    ///
    /// ```rhai
    /// clear_output() // => ()
    /// ```
    #[rhai_fn(name = "clear_output", return_raw, volatile)]
    pub fn clear_now(ctx: NativeCallContext) -> Fallible {
        shared(&ctx)?.front().clear(false);
        Ok(())
    }

    /// Takes back what the cell has shown so far: at once, or with `wait` when the next output comes, without a flicker.
    ///
    /// ```rhai
    /// clear_output(true) // => ()
    /// ```
    #[rhai_fn(name = "clear_output", return_raw, volatile)]
    pub fn clear_later(ctx: NativeCallContext, wait: bool) -> Fallible {
        shared(&ctx)?.front().clear(wait);
        Ok(())
    }

    /// A line that the person types.
    ///
    /// Where nobody can be asked it is an error.
    ///
    /// ```rhai
    /// let name = "nobody asked";
    /// if false { name = input("name: "); }
    /// name // => "nobody asked"
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn input(ctx: NativeCallContext, prompt: &str) -> Fallible<String> {
        shared(&ctx)?.front().input(prompt, false).at(&ctx)
    }

    /// A line that the person types without its being seen.
    ///
    /// ```rhai
    /// let key = "nobody asked";
    /// if false { key = password("key: "); }
    /// key // => "nobody asked"
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn password(ctx: NativeCallContext, prompt: &str) -> Fallible<String> {
        shared(&ctx)?.front().input(prompt, true).at(&ctx)
    }

    /// Prints a line to standard error.
    ///
    /// ```rhai
    /// eprint("half of the labels are missing") // => ()
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn eprint(ctx: NativeCallContext, value: Dynamic) -> Fallible {
        shared(&ctx)?.front().complain(&super::joined(&[value]));
        Ok(())
    }

    /// Prints several values on one line, with spaces between.
    ///
    /// ```rhai
    /// print("labels:", 0.1) // => ()
    /// ```
    #[rhai_fn(name = "print")]
    pub fn print_two(a: Dynamic, b: Dynamic) -> ImmutableString {
        super::joined(&[a, b])
    }

    /// Prints several values on one line, with spaces between.
    #[rhai_fn(name = "print")]
    pub fn print_three(a: Dynamic, b: Dynamic, c: Dynamic) -> ImmutableString {
        super::joined(&[a, b, c])
    }

    /// Prints several values on one line, with spaces between.
    #[rhai_fn(name = "print")]
    pub fn print_four(a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic) -> ImmutableString {
        super::joined(&[a, b, c, d])
    }

    /// Prints several values on one line, with spaces between.
    #[rhai_fn(name = "print")]
    pub fn print_five(a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic, e: Dynamic) -> ImmutableString {
        super::joined(&[a, b, c, d, e])
    }

    /// Prints several values on one line, with spaces between.
    #[rhai_fn(name = "print")]
    pub fn print_six(a: Dynamic, b: Dynamic, c: Dynamic, d: Dynamic, e: Dynamic, f: Dynamic) -> ImmutableString {
        super::joined(&[a, b, c, d, e, f])
    }

    /// The text that `show` prints for a value.
    ///
    /// ```rhai
    /// to_text([1.0, 2.5]) // => "[1.0, 2.5]"
    /// ```
    pub fn to_text(value: Dynamic) -> String {
        display::full(&value).text
    }

    /// Lists what scripts can call.
    ///
    /// ```rhai
    /// help() // => ()
    /// ```
    #[rhai_fn(name = "help", return_raw, volatile)]
    pub fn help_all(ctx: NativeCallContext) -> Fallible {
        let host = shared(&ctx)?;
        host.front().print(&host.whole_manual(ctx.engine()).overview());
        Ok(())
    }

    /// Prints the manual's page of a name, or the list of a namespace; of a value, what it can do.
    ///
    /// ```rhai
    /// help("relu") // => ()
    /// ```
    #[rhai_fn(name = "help", return_raw, volatile)]
    pub fn help_of(ctx: NativeCallContext, about: Dynamic) -> Fallible {
        let host = shared(&ctx)?;
        let manual = host.whole_manual(ctx.engine());
        let text = match about.clone().into_string() {
            Ok(name) => manual.help(&name).at(&ctx)?,
            Err(_) => manual.members_text(&args::type_word(&ctx, &about)),
        };
        host.front().print(&text);
        Ok(())
    }

    /// The seed of this session, as given by `--seed`.
    ///
    /// ```rhai
    /// seed() // => 1
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn seed(ctx: NativeCallContext) -> Fallible<i64> {
        Ok(shared(&ctx)?.given().seed() as i64)
    }

    /// The device that tensors are made on: `cpu`, `cuda:0`.
    ///
    /// ```rhai
    /// device() // => "cpu"
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn device(ctx: NativeCallContext) -> Fallible<String> {
        let device = shared(&ctx)?.device().at(&ctx)?;
        Ok(crate::tensor::device_name(&device))
    }

    /// Fails with a message unless a condition holds.
    ///
    /// ```rhai
    /// assert(1 < 2, "numbers are in order") // => ()
    /// ```
    #[rhai_fn(name = "assert", return_raw)]
    pub fn assert_that(ctx: NativeCallContext, condition: bool, message: &str) -> Fallible {
        if condition { Ok(()) } else { Err(Error::new(message)).at(&ctx) }
    }

    /// Fails unless a condition holds.
    ///
    /// ```rhai
    /// assert(1 < 2) // => ()
    /// ```
    #[rhai_fn(name = "assert", return_raw)]
    pub fn assert_alone(ctx: NativeCallContext, condition: bool) -> Fallible {
        if condition { Ok(()) } else { Err(Error::new("the condition does not hold")).at(&ctx) }
    }

    /// Fails unless two values are equal, and says what they are.
    ///
    /// Tensors are equal if their shapes and all their values are.
    ///
    /// ```rhai
    /// assert_eq(1 + 1, 2) // => ()
    /// ```
    #[rhai_fn(return_raw)]
    pub fn assert_eq(ctx: NativeCallContext, value: Dynamic, expected: Dynamic) -> Fallible {
        if super::equal(&ctx, &value, &expected)? {
            return Ok(());
        }
        let message = format!("the value is {}, expected {}", display::short(&value), display::short(&expected));
        Err(Error::new(message)).at(&ctx)
    }

    /// Ends the script here, successfully.
    ///
    /// ```rhai
    /// if 1 > 2 { exit(); } // => ()
    /// ```
    #[rhai_fn(name = "exit", return_raw, volatile)]
    pub fn exit_now() -> Fallible {
        Err(Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(Exit(Dynamic::UNIT)), rhai::Position::NONE)))
    }

    /// Ends the script here with a value, successfully.
    ///
    /// ```rhai
    /// if 1 > 2 { exit("done"); } // => ()
    /// ```
    #[rhai_fn(name = "exit", return_raw, volatile)]
    pub fn exit_with(value: Dynamic) -> Fallible {
        Err(Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(Exit(value)), rhai::Position::NONE)))
    }

    /// What a caught error says.
    ///
    /// ```rhai
    /// let said = "";
    /// try { tensor::zeros([2]) + tensor::zeros([3]) } catch (error) { said = error.message; }
    /// said // => "cannot add tensors of shapes [2] and [3]"
    /// ```
    #[rhai_fn(get = "message", pure)]
    pub fn error_message(error: &mut Error) -> String {
        error.message.clone()
    }

    /// What mends a caught error, or an empty string.
    ///
    /// ```rhai
    /// let said = "";
    /// try { tensor::zeros([2]) + tensor::zeros([3]) } catch (error) { said = error.help; }
    /// said // => "from the last dimension on, lengths must be equal or 1"
    /// ```
    #[rhai_fn(get = "help", pure)]
    pub fn error_help(error: &mut Error) -> String {
        error.help.clone().unwrap_or_default()
    }
}

fn joined(values: &[Dynamic]) -> ImmutableString {
    let texts: Vec<String> =
        values.iter().map(|value| if value.is_string() { value.to_string() } else { display::short(value) }).collect();
    texts.join(" ").into()
}

fn measured(ctx: &NativeCallContext, value: Dynamic) -> Fallible<f64> {
    match args::tensor_of(&value) {
        Some(tensor) => tensor.value().at(ctx),
        None => Err(args::wrong(ctx, "value", "a number", &value)),
    }
}

/// Whether two values are the same, as a script's author means it.
fn equal(ctx: &NativeCallContext, a: &Dynamic, b: &Dynamic) -> Fallible<bool> {
    use crate::tensor::Tensor;
    if let (Some(a), Some(b)) = (a.read_lock::<Tensor>(), b.read_lock::<Tensor>()) {
        return Ok(a.dims() == b.dims() && a.to_f64s().at(ctx)? == b.to_f64s().at(ctx)?);
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Array>(), b.read_lock::<Array>()) {
        let mut same = a.len() == b.len();
        for (a, b) in a.iter().zip(b.iter()) {
            same = same && equal(ctx, a, b)?;
        }
        return Ok(same);
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Map>(), b.read_lock::<Map>()) {
        let mut same = a.len() == b.len();
        for (name, a) in a.iter() {
            same = same
                && match b.get(name) {
                    Some(b) => equal(ctx, a, b)?,
                    None => false,
                };
        }
        return Ok(same);
    }
    ctx.engine().eval_binary_op::<bool>("==", a.clone(), b.clone()).map_err(|error| {
        let error = Error::new(error.to_string());
        raise(error, ctx.call_position())
    })
}
