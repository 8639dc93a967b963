//! Values of options: paths, numbers, texts. An error names the option and shows a value of the right form.

use std::fmt::Display;
use std::str::FromStr;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote;
use syn::{Expr, ExprLit, Lit, LitInt, Path, UnOp};

/// A number without its sign, and whether a minus stands before it.
struct SignedLiteral<'a> {
    is_negative: bool,
    literal: &'a Lit,
}

/// Reads a path of a function, module or crate.
pub(crate) fn path(option: &str, expression: &Expr) -> syn::Result<Path> {
    match ungrouped(expression) {
        Expr::Path(path) if path.qself.is_none() => Ok(path.path.clone()),
        Expr::Call(call) if call.args.is_empty() => {
            let function = &call.func;
            let shown = quote!(#function).to_string().replace(' ', "");
            Err(error(
                expression,
                format!("option `{option}` takes a path without `()`; write `{option} = {shown}`"),
            ))
        }
        _ if option == "crate" => Err(error(
            expression,
            "option `crate` takes the path of the crate `llmpool`, such as `crate = ::llmpool`",
        )),
        _ => {
            let example = if option == "check" { "is_valid" } else { option };
            Err(error(
                expression,
                format!("option `{option}` takes the path of a function, such as `{option} = {example}`"),
            ))
        }
    }
}

/// Reads the name of a method.
pub(crate) fn word(option: &str, expression: &Expr) -> syn::Result<Ident> {
    let name = match ungrouped(expression) {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    };
    name.ok_or_else(|| {
        error(
            expression,
            format!("option `{option}` takes the name of the method, such as `{option} = search_tools`"),
        )
    })
}

/// Reads a list of paths in brackets.
pub(crate) fn paths(option: &str, expression: &Expr) -> syn::Result<Vec<Path>> {
    let Expr::Array(list) = ungrouped(expression) else {
        let message = format!("option `{option}` takes a list of tools, such as `{option} = [weather]`");
        return Err(error(expression, message));
    };
    list.elems
        .iter()
        .map(|element| listed_path(option, element))
        .collect()
}

fn listed_path(option: &str, element: &Expr) -> syn::Result<Path> {
    match ungrouped(element) {
        Expr::Path(path) if path.qself.is_none() => Ok(path.path.clone()),
        Expr::Call(call) => {
            let function = &call.func;
            let shown = quote!(#function).to_string().replace(' ', "");
            Err(error(
                element,
                format!("option `{option}` takes a path without `()`; write `{shown}`"),
            ))
        }
        _ => Err(error(
            element,
            format!(
                "option `{option}` takes paths of functions with `#[tool]`, such as `{option} = [weather]`"
            ),
        )),
    }
}

/// Reads a whole number in the range of `N`.
pub(crate) fn integer<N: FromStr + Bounds>(option: &str, expression: &Expr) -> syn::Result<TokenStream> {
    let Some(SignedLiteral {
        is_negative,
        literal: Lit::Int(literal),
    }) = signed_literal(expression)
    else {
        return Err(error(
            expression,
            format!("option `{option}` takes a whole number, such as `{option} = 2`"),
        ));
    };
    if is_negative && !N::IS_SIGNED {
        return Err(error(expression, format!("option `{option}` must be 0 or more")));
    }
    let digits = literal.base10_digits();
    let signed = if is_negative {
        format!("-{digits}")
    } else {
        digits.to_owned()
    };
    if signed.parse::<N>().is_err() {
        let bound = if is_negative {
            "small: at least"
        } else {
            "large: at most"
        };
        let limit = if is_negative { N::LEAST } else { N::GREATEST };
        return Err(error(
            expression,
            format!("option `{option}` is too {bound} {limit}"),
        ));
    }
    let digits = LitInt::new(digits, literal.span());
    Ok(if is_negative {
        quote!(-#digits)
    } else {
        quote!(#digits)
    })
}

/// Reads a number from 0 to `greatest`, whole or not.
pub(crate) fn number(option: &str, expression: &Expr, greatest: f64) -> syn::Result<TokenStream> {
    let (value, span) = non_negative(option, expression)
        .map_err(|message| {
            message.unwrap_or_else(|| format!("option `{option}` takes a number, such as `{option} = 0.5`"))
        })
        .map_err(|message| error(expression, message))?;
    if value > greatest {
        return Err(error(
            expression,
            format!("option `{option}` must be between 0 and {greatest}"),
        ));
    }
    let mut literal = Literal::f64_unsuffixed(value);
    literal.set_span(span);
    Ok(quote!(#literal))
}

/// Reads a positive number of seconds as a `Duration`, in steps of a millisecond.
pub(crate) fn seconds(option: &str, expression: &Expr) -> syn::Result<TokenStream> {
    let (value, span) = non_negative(option, expression)
        .map_err(|message| {
            message.unwrap_or_else(|| {
                format!("option `{option}` takes a number of seconds, such as `{option} = 30`")
            })
        })
        .map_err(|message| error(expression, message))?;
    let millis = (value * 1000.0).round();
    if millis < 1.0 {
        return Err(error(
            expression,
            format!("option `{option}` is a number of seconds from 0.001 up"),
        ));
    }
    if millis > MAX_MILLIS {
        return Err(error(
            expression,
            format!("option `{option}` is too large: at most a thousand years"),
        ));
    }
    let millis = millis as u64;
    let (amount, constructor) = if millis.is_multiple_of(1000) {
        (millis / 1000, quote!(from_secs))
    } else {
        (millis, quote!(from_millis))
    };
    let mut amount = Literal::u64_unsuffixed(amount);
    amount.set_span(span);
    Ok(quote!(::core::time::Duration::#constructor(#amount)))
}

/// A thousand years: above any use, below any overflow.
const MAX_MILLIS: f64 = 1000.0 * 366.0 * 86_400.0 * 1000.0;

/// Reads a string literal.
pub(crate) fn text(option: &str, expression: &Expr) -> syn::Result<(String, Span)> {
    match ungrouped(expression) {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text), ..
        }) => Ok((text.value(), text.span())),
        _ => Err(error(
            expression,
            format!("option `{option}` takes a text, such as `{option} = \"…\"`"),
        )),
    }
}

/// Reads a number of any form that is at least 0. The error is a message, or `None` if there is no number.
fn non_negative(option: &str, expression: &Expr) -> Result<(f64, Span), Option<String>> {
    let SignedLiteral { is_negative, literal } = signed_literal(expression).ok_or(None)?;
    let value = match literal {
        Lit::Int(literal) => literal.base10_parse::<f64>(),
        Lit::Float(literal) => literal.base10_parse::<f64>(),
        _ => return Err(None),
    };
    let value = value.ok().filter(|value| value.is_finite()).ok_or(None)?;
    if is_negative {
        return Err(Some(format!("option `{option}` must be 0 or more")));
    }
    Ok((value, literal.span()))
}

fn signed_literal(expression: &Expr) -> Option<SignedLiteral<'_>> {
    match ungrouped(expression) {
        Expr::Lit(literal) => Some(SignedLiteral {
            is_negative: false,
            literal: &literal.lit,
        }),
        Expr::Unary(minus) if matches!(minus.op, UnOp::Neg(_)) => match ungrouped(&minus.expr) {
            Expr::Lit(literal) => Some(SignedLiteral {
                is_negative: true,
                literal: &literal.lit,
            }),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the expression inside the invisible groups of `macro_rules!`.
fn ungrouped(mut expression: &Expr) -> &Expr {
    while let Expr::Group(group) = expression {
        expression = &group.expr;
    }
    expression
}

fn error(expression: &Expr, message: impl Display) -> syn::Error {
    syn::Error::new_spanned(expression, message)
}

/// The range of an integer type, for error messages.
pub(crate) trait Bounds {
    const IS_SIGNED: bool;
    const LEAST: i128;
    const GREATEST: i128;
}

macro_rules! bounds {
    ($($integer:ty),*) => {$(
        impl Bounds for $integer {
            const IS_SIGNED: bool = <$integer>::MIN != 0;
            const LEAST: i128 = <$integer>::MIN as i128;
            const GREATEST: i128 = <$integer>::MAX as i128;
        }
    )*};
}

bounds!(u32, u64, usize, i64);
