//! What a type mentions, found in its tokens: the macro cannot resolve names.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Type;

/// Returns the tokens of `tokens` without groups around them.
fn flatten(tokens: &impl ToTokens) -> Vec<TokenTree> {
    let mut flat = Vec::new();
    let mut open = vec![tokens.to_token_stream().into_iter()];
    while let Some(inner) = open.last_mut() {
        match inner.next() {
            Some(TokenTree::Group(group)) => open.push(group.stream().into_iter()),
            Some(token) => flat.push(token),
            None => drop(open.pop()),
        }
    }
    flat
}

/// Returns the first mention of the identifier `name` that is not the name of a lifetime.
pub(crate) fn find_ident(tokens: &impl ToTokens, name: &str) -> Option<Ident> {
    let mut after_quote = false;
    flatten(tokens).into_iter().find_map(|token| {
        let is_lifetime = std::mem::replace(&mut after_quote, is_punct(&token, '\''));
        match token {
            TokenTree::Ident(ident) if !is_lifetime && ident == name => Some(ident),
            _ => None,
        }
    })
}

/// Returns the first reference or lifetime, except `'static` and `&'static`.
pub(crate) fn find_borrow(tokens: &impl ToTokens) -> Option<TokenTree> {
    let flat = flatten(tokens);
    let is_static = |at: usize| matches!(flat.get(at), Some(TokenTree::Ident(name)) if name == "static");
    let quote_at = |at: usize| flat.get(at).is_some_and(|token| is_punct(token, '\''));
    (0..flat.len()).find_map(|at| {
        let borrows = if is_punct(&flat[at], '&') {
            !(quote_at(at + 1) && is_static(at + 2))
        } else {
            quote_at(at) && !is_static(at + 1)
        };
        borrows.then(|| flat[at].clone())
    })
}

/// Returns `name`, with underscores appended until no lifetime in `tokens` is called so.
pub(crate) fn free_lifetime(name: &str, tokens: &impl ToTokens) -> String {
    let flat = flatten(tokens);
    let is_taken = |name: &str| {
        flat.windows(2).any(|pair| {
            is_punct(&pair[0], '\'') && matches!(&pair[1], TokenTree::Ident(ident) if ident == name)
        })
    };
    let mut free = name.to_owned();
    while is_taken(&free) {
        free.push('_');
    }
    free
}

/// Returns `name`, with underscores appended until no identifier in `tokens` is called so.
pub(crate) fn free_ident(name: &str, tokens: &impl ToTokens) -> Ident {
    let mut free = name.to_owned();
    while find_ident(tokens, &free).is_some() {
        free.push('_');
    }
    Ident::new(&free, Span::call_site())
}

/// Replaces elided lifetimes by `'static`.
pub(crate) fn with_static_borrows(tokens: TokenStream) -> TokenStream {
    let mut tokens = tokens.into_iter().peekable();
    let mut replaced = TokenStream::new();
    let mut after_quote = false;
    while let Some(token) = tokens.next() {
        let is_elided_name = std::mem::replace(&mut after_quote, is_punct(&token, '\''))
            && matches!(&token, TokenTree::Ident(name) if name == "_");
        let is_elided_reference =
            is_punct(&token, '&') && !tokens.peek().is_some_and(|next| is_punct(next, '\''));
        match token {
            TokenTree::Ident(name) if is_elided_name => {
                replaced.extend([TokenTree::Ident(Ident::new("static", name.span()))]);
            }
            TokenTree::Group(group) => {
                let inner = Group::new(group.delimiter(), with_static_borrows(group.stream()));
                replaced.extend([TokenTree::Group(inner)]);
            }
            other => replaced.extend([other]),
        }
        if is_elided_reference {
            replaced.extend(quote!('static));
        }
    }
    replaced
}

/// Returns the spans of the first and the last token.
pub(crate) fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let flat = flatten(tokens);
    let span_of = |token: Option<&TokenTree>| token.map_or_else(Span::call_site, TokenTree::span);
    (span_of(flat.first()), span_of(flat.last()))
}

/// Returns the tokens with another span.
pub(crate) fn respanned(tokens: &TokenStream, span: Span) -> TokenStream {
    tokens
        .clone()
        .into_iter()
        .map(|mut token| {
            token.set_span(span);
            token
        })
        .collect()
}

/// Returns the type without parentheses and without the invisible groups of `macro_rules!`.
pub(crate) fn peeled(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            other => return other,
        };
    }
}

/// Like [`peeled`], for a change of the type.
pub(crate) fn peeled_mut(ty: &mut Type) -> &mut Type {
    match ty {
        Type::Group(group) => peeled_mut(&mut group.elem),
        Type::Paren(paren) => peeled_mut(&mut paren.elem),
        other => other,
    }
}

fn is_punct(token: &TokenTree, punct: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == punct)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use quote::ToTokens as _;
    use syn::Type;

    use super::{find_borrow, find_ident, free_ident, free_lifetime, with_static_borrows};

    fn ty(source: &str) -> Type {
        syn::parse_str(source).unwrap()
    }

    #[test]
    fn borrows_are_found_at_any_depth() {
        for (source, expected) in [
            ("Result<Vec<String>, Error<'static>>", false),
            ("Result<&'static str>", false),
            ("Result<&str>", true),
            ("Result<(u8, [&'a str; 2])>", true),
            ("Cow<'a, str>", true),
            ("Cow<'_, str>", true),
        ] {
            assert_eq!(find_borrow(&ty(source)).is_some(), expected, "{source}");
        }
    }

    #[test]
    fn elided_lifetimes_become_static() {
        for (source, expected) in [
            (
                "Result<(&str, [&'a u8; 2]), Cow<'_, str>>",
                "Result<(&'static str, [&'a u8; 2]), Cow<'static, str>>",
            ),
            ("_", "_"),
            ("&'static str", "&'static str"),
        ] {
            let replaced = with_static_borrows(ty(source).to_token_stream());
            assert_eq!(
                replaced.to_string(),
                ty(expected).to_token_stream().to_string(),
                "{source}"
            );
        }
    }

    #[test]
    fn identifiers_are_found_but_not_lifetimes() {
        assert!(find_ident(&ty("Result<Vec<(u8, T)>>"), "T").is_some());
        assert!(find_ident(&ty("Result<Tt>"), "T").is_none());
        assert!(find_ident(&ty("Cow<'T, str>"), "T").is_none());
    }

    #[test]
    fn free_names_avoid_taken_names() {
        let taken = ty("(Cow<'llm, str>, Cow<'llm_, str>, Name)");
        assert_eq!(free_lifetime("llm", &ty("llm")), "llm");
        assert_eq!(free_lifetime("llm", &taken), "llm__");
        assert_eq!(free_ident("llm", &taken), "llm");
        assert_eq!(free_ident("Name", &taken), "Name_");
    }
}
