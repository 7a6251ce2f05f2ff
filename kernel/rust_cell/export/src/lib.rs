//! `#[export]`: a function of a Rust cell that Rhai calls as `rust::name(..)`.
//!
//! The attribute leaves the function as it is, and adds beside it what tells the process that runs cells of it: its name,
//! its documentation, its parameters, and a way to call it with values. Written without `syn`, for a cell waits for this
//! crate to be built and to run.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// Makes a function one that Rhai can call; with `vjp = name` its gradient is what the exported function `name` gives.
///
/// `name` takes the arguments of the function and, for each tensor of its result, the gradient there; it gives the
/// gradient of each tensor among the arguments that holds fractions, in order.
#[proc_macro_attribute]
pub fn export(given: TokenStream, item: TokenStream) -> TokenStream {
    match Function::read(item.clone()).and_then(|function| Ok((function, vjp(given)?))) {
        Ok((function, vjp)) => {
            let mut out = item;
            out.extend(function.registration(vjp));
            out
        }
        Err((message, place)) => {
            let mut out = spanned(&format!("::core::compile_error!({message:?});"), place);
            out.extend(item);
            out
        }
    }
}

type Fault = (String, Span);

struct Parameter {
    name: String,
    kind: TokenStream,
}

struct Function {
    name: Ident,
    doc: Vec<TokenTree>,
    parameters: Vec<Parameter>,
    result: TokenStream,
}

/// The name in `vjp = name`; nothing if nothing was given.
fn vjp(given: TokenStream) -> Result<Option<Ident>, Fault> {
    let tokens: Vec<TokenTree> = given.into_iter().collect();
    match tokens.as_slice() {
        [] => Ok(None),
        [TokenTree::Ident(key), TokenTree::Punct(equals), TokenTree::Ident(name)]
            if key.to_string() == "vjp" && equals.as_char() == '=' =>
        {
            Ok(Some(name.clone()))
        }
        [first, ..] => Err(("`#[export]` takes nothing or `vjp = name`".into(), first.span())),
    }
}

impl Function {
    fn read(item: TokenStream) -> Result<Self, Fault> {
        let mut tokens = item.into_iter().peekable();
        let mut doc = Vec::new();
        let mut last = Span::call_site();
        // Attributes, visibility and the like, up to `fn`.
        loop {
            let token = tokens.next().ok_or_else(|| ("`#[export]` stands before a function".to_string(), last))?;
            last = token.span();
            match &token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    if let Some(TokenTree::Group(attribute)) = tokens.next() {
                        doc.extend(doc_line(&attribute));
                    }
                }
                TokenTree::Ident(word) if word.to_string() == "fn" => break,
                TokenTree::Ident(word) if matches!(word.to_string().as_str(), "async" | "unsafe" | "extern") => {
                    return Err((format!("an exported function cannot be `{word}`"), word.span()));
                }
                TokenTree::Ident(word)
                    if matches!(
                        word.to_string().as_str(),
                        "struct" | "enum" | "mod" | "impl" | "trait" | "static" | "type" | "use" | "let"
                    ) =>
                {
                    return Err(("`#[export]` stands before a function".into(), word.span()));
                }
                _ => {}
            }
        }
        let name = match tokens.next() {
            Some(TokenTree::Ident(name)) => name,
            _ => return Err(("a function has a name".into(), last)),
        };
        if name.to_string() == "apply" {
            return Err((format!("`rust::{name}` is taken: the exported function needs another name"), name.span()));
        }
        let arguments = match tokens.next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => group,
            _ => {
                return Err((
                    "an exported function has no parameters in `<>`: Rhai does not know which types to take".into(),
                    name.span(),
                ));
            }
        };
        let mut result = TokenStream::new();
        let mut after_arrow = false;
        for token in tokens {
            match &token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                TokenTree::Punct(mark) if mark.as_char() == '-' && !after_arrow => {}
                TokenTree::Punct(mark) if mark.as_char() == '>' && !after_arrow => after_arrow = true,
                TokenTree::Ident(word) if word.to_string() == "where" => break,
                _ => result.extend([token]),
            }
        }
        if result.is_empty() {
            result = "()".parse().unwrap_or_default();
        }
        let parameters = parameters(&arguments)?;
        Ok(Self { name, doc, parameters, result })
    }

    fn registration(&self, vjp: Option<Ident>) -> TokenStream {
        let mut text = String::new();
        let mut words = String::new();
        let mut names = String::new();
        for (i, parameter) in self.parameters.iter().enumerate() {
            text.push_str(&format!("let a{i} = arguments.take::<__kind_{i}>({:?})?;", parameter.name));
            words.push_str(&format!("({:?}, <__kind_{i} as ::fewlab_cell::Argument<'_>>::word()),", parameter.name));
            names.push_str(&format!("a{i},"));
        }
        let name = self.name.to_string();
        // That the other function is there is for the compiler to check.
        let (check, vjp_name) = match &vjp {
            Some(other) => ("let _ = __vjp;", format!("::core::option::Option::Some({:?})", other.to_string())),
            None => ("", "::core::option::Option::None".to_string()),
        };
        let whole = format!(
            "const _: () = {{
                fn call(arguments: &mut ::fewlab_cell::Arguments<'_>)
                    -> ::core::result::Result<::fewlab_cell::Value, ::std::string::String> {{
                    {check}
                    {text}
                    arguments.end()?;
                    ::fewlab_cell::IntoValue::into_value(__name({names}))
                }}
                extern \"C\" fn register() {{
                    ::fewlab_cell::register(::fewlab_cell::Export {{
                        name: {name:?},
                        doc: ::std::vec![__doc],
                        parameters: ::std::vec![{words}],
                        result: <__result as ::fewlab_cell::IntoValue>::word(),
                        vjp: {vjp_name},
                        call,
                    }});
                }}
                #[used]
                #[cfg_attr(target_os = \"macos\", unsafe(link_section = \"__DATA,__mod_init_func\"))]
                #[cfg_attr(not(target_os = \"macos\"), unsafe(link_section = \".init_array\"))]
                static REGISTER: extern \"C\" fn() = register;
            }};"
        );
        let doc: TokenStream = self.doc.iter().flat_map(|line| [line.clone(), comma()]).collect();
        fill(whole.parse().unwrap_or_default(), &|word| {
            if let Some(i) = word.strip_prefix("__kind_").and_then(|i| i.parse::<usize>().ok()) {
                return self.parameters.get(i).map(|parameter| parameter.kind.clone());
            }
            match word {
                "__name" => Some(TokenTree::Ident(self.name.clone()).into()),
                "__result" => Some(self.result.clone()),
                "__doc" => Some(doc.clone()),
                "__vjp" => vjp.clone().map(|other| TokenTree::Ident(other).into()),
                _ => None,
            }
        })
    }
}

/// The text of `#[doc = "..."]`, what `///` is to the compiler.
fn doc_line(attribute: &Group) -> Option<TokenTree> {
    let tokens: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(doc), TokenTree::Punct(_), text @ TokenTree::Literal(_)] if doc.to_string() == "doc" => {
            Some(text.clone())
        }
        _ => None,
    }
}

/// The parameters between the brackets: what stands between commas that are not within `<>`.
fn parameters(group: &Group) -> Result<Vec<Parameter>, Fault> {
    let mut parameters = Vec::new();
    let mut open = 0usize;
    let mut before = None;
    let mut current: Vec<TokenTree> = Vec::new();
    for token in group.stream() {
        let mark = if let TokenTree::Punct(mark) = &token { Some(mark.as_char()) } else { None };
        match mark {
            Some('<') => open += 1,
            // `->` closes nothing.
            Some('>') if before != Some('-') => open = open.saturating_sub(1),
            _ => {}
        }
        before = mark;
        if mark == Some(',') && open == 0 {
            parameters.push(parameter(std::mem::take(&mut current), group.span())?);
        } else {
            current.push(token);
        }
    }
    if !current.is_empty() {
        parameters.push(parameter(current, group.span())?);
    }
    Ok(parameters)
}

fn parameter(tokens: Vec<TokenTree>, place: Span) -> Result<Parameter, Fault> {
    let colon = tokens.iter().position(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ':'));
    let Some(colon) = colon else {
        let place = tokens.first().map_or(place, TokenTree::span);
        return Err(("an exported function has no `self`".into(), place));
    };
    let name = tokens[..colon].iter().rev().find_map(|token| match token {
        TokenTree::Ident(name) => Some(name.to_string()),
        _ => None,
    });
    let kind: TokenStream = tokens[colon + 1..].iter().cloned().collect();
    Ok(Parameter { name: name.unwrap_or_else(|| "value".into()), kind })
}

fn comma() -> TokenTree {
    TokenTree::Punct(proc_macro::Punct::new(',', proc_macro::Spacing::Alone))
}

/// `tokens` with what `with` says in the place of its words, at the place that it has in the cell.
fn fill(tokens: TokenStream, with: &dyn Fn(&str) -> Option<TokenStream>) -> TokenStream {
    tokens
        .into_iter()
        .flat_map(|token| match &token {
            TokenTree::Ident(word) => match with(&word.to_string()) {
                Some(filled) => filled,
                None => token.into(),
            },
            TokenTree::Group(group) => {
                TokenTree::Group(Group::new(group.delimiter(), fill(group.stream(), with))).into()
            }
            _ => TokenStream::from(token),
        })
        .collect()
}

fn spanned(text: &str, place: Span) -> TokenStream {
    let tokens: TokenStream = text.parse().unwrap_or_default();
    tokens
        .into_iter()
        .map(|mut token| {
            token.set_span(place);
            token
        })
        .collect()
}
