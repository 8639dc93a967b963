//! The options of an attribute: `name = value, …`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, Ident, Path, Token};

use crate::mistakes::Mistakes;
use crate::option_value as value;
use crate::suggestion::closest;

/// What an attribute accepts.
pub(crate) struct Accepted {
    /// The attribute as users write it.
    pub(crate) attribute: &'static str,
    pub(crate) options: &'static [&'static str],
    /// Options of other attributes, each with the reason why this one has none.
    pub(crate) refused: &'static [(&'static str, &'static str)],
}

pub(crate) const LLM_FUNCTION: Accepted = Accepted {
    attribute: "#[llm_function]",
    options: &[
        "check",
        "repairs",
        "rounds",
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
        "timeout",
        "tools",
        "examples",
        "crate",
    ],
    refused: &[],
};

const CHAT_IS_TEXT: &str = "the answer of a chat is free text; use `#[llm_function]` for a typed value";

pub(crate) const LLM_CHAT: Accepted = Accepted {
    attribute: "#[llm_chat]",
    options: &[
        "rounds",
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
        "timeout",
        "tools",
        "crate",
    ],
    refused: &[
        ("check", CHAT_IS_TEXT),
        ("repairs", CHAT_IS_TEXT),
        ("examples", "the history is the example; add messages to it"),
    ],
};

pub(crate) const TOOL: Accepted = Accepted {
    attribute: "#[tool]",
    options: &["timeout", "max_output", "name", "crate"],
    refused: &[],
};

pub(crate) const TOOL_METHOD: Accepted = Accepted {
    attribute: "#[tool]",
    options: &["timeout", "max_output", "name"],
    refused: &[(
        "crate",
        "set it once, as `#[tools(crate = …)]` on the `impl` block",
    )],
};

pub(crate) const TOOLS: Accepted = Accepted {
    attribute: "#[tools]",
    options: &["method", "crate"],
    refused: &[],
};

/// The options of one attribute, as the builder calls that set them.
pub(crate) struct Options {
    /// Path of the crate `llmpool`.
    pub(crate) krate: Path,
    /// Builder calls, in the order of the options.
    pub(crate) calls: TokenStream,
    /// Value of `name`, with its span.
    pub(crate) name: Option<(String, Span)>,
    /// Value of `method`.
    pub(crate) method: Option<Ident>,
    /// Functions that `calls` names by a single word. A parameter of the same name would hide them.
    functions: Vec<Ident>,
}

impl Options {
    /// Parses the options. Unknown and repeated options and wrong values are mistakes.
    pub(crate) fn parse(tokens: TokenStream, accepted: &Accepted, mistakes: &mut Mistakes) -> Self {
        let mut options = Self {
            krate: syn::parse_quote!(::llmpool),
            calls: TokenStream::new(),
            name: None,
            method: None,
            functions: Vec::new(),
        };
        let mut seen: Vec<String> = Vec::new();
        for (name, expression) in entries(tokens, mistakes) {
            let word = name.to_string();
            if !accepted.options.contains(&word.as_str()) {
                mistakes.at(&name, unknown(&word, accepted));
            } else if seen.contains(&word) {
                mistakes.at(&name, format!("option `{word}` is set twice; remove one"));
            } else {
                mistakes.value_of(options.set(&word, &name, expression.as_ref()));
                seen.push(word);
            }
        }
        options
    }

    /// Checks that no parameter of the function hides a function that an option names.
    pub(crate) fn check_scope<'a>(
        &self,
        parameters: impl IntoIterator<Item = &'a Ident>,
        mistakes: &mut Mistakes,
    ) {
        for parameter in parameters {
            if let Some(function) = self
                .functions
                .iter()
                .find(|function| function.unraw() == parameter.unraw())
            {
                let message = format!(
                    "the parameter `{parameter}` hides the function; rename the parameter or write `self::{function}`"
                );
                mistakes.at(function, message);
            }
        }
    }

    fn set(&mut self, word: &str, name: &Ident, expression: Option<&Expr>) -> syn::Result<()> {
        let Some(expression) = expression else {
            return Err(syn::Error::new_spanned(
                name,
                format!("option `{word}` needs a value; write `{word} = …`"),
            ));
        };
        match word {
            "crate" => self.krate = value::path(word, expression)?,
            "name" => self.name = Some(value::text(word, expression)?),
            "method" => self.method = Some(value::word(word, expression)?),
            "check" | "examples" => {
                let path = value::path(word, expression)?;
                self.functions.extend(path.get_ident().cloned());
                self.calls.extend(match word {
                    "examples" => quote!(.#name(#path())),
                    _ => quote!(.#name(#path)),
                });
            }
            _ => self.calls.extend(builder_call(word, name, expression)?),
        }
        Ok(())
    }
}

/// Returns the builder call of an option whose value is no path of a function.
fn builder_call(word: &str, name: &Ident, expression: &Expr) -> syn::Result<TokenStream> {
    if word == "tools" {
        return Ok(value::paths(word, expression)?
            .iter()
            .map(|tool| quote!(.tool(#tool::tool())))
            .collect());
    }
    let argument = match word {
        "repairs" | "rounds" => value::integer::<u32>(word, expression)?,
        "max_tokens" => value::integer::<u64>(word, expression)?,
        "max_output" => value::integer::<usize>(word, expression)?,
        "seed" => value::integer::<i64>(word, expression)?,
        "temperature" => value::number(word, expression, f64::MAX)?,
        "top_p" => value::number(word, expression, 1.0)?,
        "timeout" => value::seconds(word, expression)?,
        _ => {
            return Err(syn::Error::new_spanned(
                name,
                format!("option `{word}` has no meaning here; remove it"),
            ));
        }
    };
    Ok(quote!(.#name(#argument)))
}

/// Splits the tokens into names and values. A syntax error is a mistake of its option only.
fn entries(tokens: TokenStream, mistakes: &mut Mistakes) -> Vec<(Ident, Option<Expr>)> {
    let parse = |input: ParseStream<'_>| {
        let mut entries = Vec::new();
        while !input.is_empty() {
            let entry = entry(input);
            if entry.is_err() {
                skip_to_comma(input)?;
            }
            entries.extend(mistakes.value_of(entry));
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(entries)
    };
    let parsed = parse.parse2(tokens);
    mistakes.value_of(parsed).unwrap_or_default()
}

fn entry(input: ParseStream<'_>) -> syn::Result<(Ident, Option<Expr>)> {
    let name = input.call(Ident::parse_any)?;
    let value = match input.parse::<Option<Token![=]>>()? {
        Some(_) => Some(input.parse()?),
        None => None,
    };
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(input.error(format!("expected `,` after option `{name}`")));
    }
    Ok((name, value))
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

fn unknown(word: &str, accepted: &Accepted) -> String {
    let Accepted {
        attribute,
        options,
        refused,
    } = accepted;
    if let Some((_, reason)) = refused.iter().find(|(name, _)| *name == word) {
        return format!("`{attribute}` has no option `{word}`: {reason}");
    }
    let hint = match closest(word, options.iter().copied()) {
        Some(similar) => format!("; did you mean `{similar}`?"),
        None => ".".to_owned(),
    };
    format!(
        "`{attribute}` has no option `{word}`{hint} Options: {}",
        options.join(", ")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use quote::ToTokens as _;

    use super::{Accepted, LLM_CHAT, LLM_FUNCTION, Options, TOOL, TOOL_METHOD, TOOLS};
    use crate::mistakes::Mistakes;
    use crate::testing::messages;

    fn parse(source: &str, accepted: &Accepted) -> (Options, Vec<String>) {
        let mut mistakes = Mistakes::default();
        let options = Options::parse(source.parse().unwrap(), accepted, &mut mistakes);
        (options, messages(mistakes.into_compile_errors()))
    }

    #[test]
    fn each_option_becomes_one_builder_call() {
        for (source, expected) in [
            ("", ""),
            ("check = a::sane", ". check (a :: sane)"),
            ("repairs = 2,", ". repairs (2)"),
            ("rounds = 0", ". rounds (0)"),
            ("temperature = 0", ". temperature (0.0)"),
            ("temperature = 0.7", ". temperature (0.7)"),
            ("top_p = 1", ". top_p (1.0)"),
            ("max_tokens = 1_000u64", ". max_tokens (1000)"),
            ("seed = -7", ". seed (- 7)"),
            (
                "timeout = 30",
                ". timeout (:: core :: time :: Duration :: from_secs (30))",
            ),
            (
                "timeout = 2.0",
                ". timeout (:: core :: time :: Duration :: from_secs (2))",
            ),
            (
                "timeout = 0.25",
                ". timeout (:: core :: time :: Duration :: from_millis (250))",
            ),
            (
                "tools = [weather, a::b]",
                ". tool (weather :: tool ()) . tool (a :: b :: tool ())",
            ),
            ("tools = []", ""),
            ("examples = samples", ". examples (samples ())"),
            ("seed = 1, repairs = 2", ". seed (1) . repairs (2)"),
        ] {
            let (options, errors) = parse(source, &LLM_FUNCTION);
            assert_eq!(
                (options.calls.to_string().as_str(), errors),
                (expected, vec![]),
                "{source}"
            );
        }
        let (options, errors) = parse("crate = crate::inner, name = \"a\", max_output = 10", &TOOL);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(options.calls.to_string(), ". max_output (10)");
        assert_eq!(options.krate.to_token_stream().to_string(), "crate :: inner");
        assert_eq!(options.name.map(|(name, _)| name).as_deref(), Some("a"));
    }

    #[test]
    fn wrong_options_are_mistakes_that_say_the_fix() {
        let known = "Options: check, repairs, rounds, temperature, top_p, max_tokens, seed, timeout, tools, examples, crate";
        for (source, expected) in [
            (
                "repair = 2",
                format!("`#[llm_function]` has no option `repair`; did you mean `repairs`? {known}"),
            ),
            (
                "model = 2",
                format!("`#[llm_function]` has no option `model`. {known}"),
            ),
            (
                "seed = 1, seed = 2",
                "option `seed` is set twice; remove one".to_owned(),
            ),
            (
                "check",
                "option `check` needs a value; write `check = …`".to_owned(),
            ),
            (
                "check = |x| x",
                "option `check` takes the path of a function, such as `check = is_valid`".to_owned(),
            ),
            (
                "examples = f()",
                "option `examples` takes a path without `()`; write `examples = f`".to_owned(),
            ),
            (
                "repairs = \"2\"",
                "option `repairs` takes a whole number, such as `repairs = 2`".to_owned(),
            ),
            (
                "repairs = 1.5",
                "option `repairs` takes a whole number, such as `repairs = 2`".to_owned(),
            ),
            ("repairs = -1", "option `repairs` must be 0 or more".to_owned()),
            (
                "repairs = 4294967296",
                "option `repairs` is too large: at most 4294967295".to_owned(),
            ),
            (
                "seed = 9223372036854775808",
                "option `seed` is too large: at most 9223372036854775807".to_owned(),
            ),
            (
                "temperature = -0.5",
                "option `temperature` must be 0 or more".to_owned(),
            ),
            (
                "temperature = high",
                "option `temperature` takes a number, such as `temperature = 0.5`".to_owned(),
            ),
            ("top_p = 1.5", "option `top_p` must be between 0 and 1".to_owned()),
            (
                "timeout = 0",
                "option `timeout` is a number of seconds from 0.001 up".to_owned(),
            ),
            ("timeout = -1", "option `timeout` must be 0 or more".to_owned()),
            (
                "timeout = \"1s\"",
                "option `timeout` takes a number of seconds, such as `timeout = 30`".to_owned(),
            ),
            (
                "tools = weather",
                "option `tools` takes a list of tools, such as `tools = [weather]`".to_owned(),
            ),
            (
                "tools = [weather()]",
                "option `tools` takes a path without `()`; write `weather`".to_owned(),
            ),
            (
                "tools = [1]",
                "option `tools` takes paths of functions with `#[tool]`, such as `tools = [weather]`"
                    .to_owned(),
            ),
            (
                "seed = 1 repairs = 2",
                "expected `,` after option `seed`".to_owned(),
            ),
        ] {
            assert_eq!(parse(source, &LLM_FUNCTION).1, [expected], "{source}");
        }
    }

    #[test]
    fn options_of_other_attributes_are_refused_with_a_reason() {
        for (source, accepted, expected) in [
            ("check = a", &LLM_CHAT, "free text; use `#[llm_function]`"),
            ("repairs = 1", &LLM_CHAT, "free text; use `#[llm_function]`"),
            ("examples = a", &LLM_CHAT, "add messages to it"),
            ("crate = a", &TOOL_METHOD, "on the `impl` block"),
            ("timeout = 1", &TOOLS, "Options: method, crate"),
            (
                "method = a::b",
                &TOOLS,
                "option `method` takes the name of the method, such as `method = search_tools`",
            ),
            ("method = \"a\"", &TOOLS, "option `method` takes the name"),
            (
                "name = weather",
                &TOOL,
                "option `name` takes a text, such as `name = \"…\"`",
            ),
        ] {
            let (_, errors) = parse(source, accepted);
            assert!(
                errors.len() == 1 && errors[0].contains(expected),
                "{source}: {errors:?}"
            );
        }
    }

    #[test]
    fn all_wrong_options_are_reported_together() {
        let (_, errors) = parse(
            "a = 1, repairs = x, = 3, seed = 1 2, top_p = *, check = ok",
            &LLM_FUNCTION,
        );
        assert_eq!(errors.len(), 5, "{errors:#?}");
    }
}
