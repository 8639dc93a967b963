//! A function as it is written below an attribute, with or without a body.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, FnArg, Pat, Safety, Signature, Token, Visibility, token};

use crate::mistakes::Mistakes;

/// A function whose body, if it has one, is not read.
#[derive(Clone)]
pub(crate) struct FunctionItem {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Option<Group>,
    /// Where the function ends: its body, or the semicolon.
    end: Span,
}

impl Parse for FunctionItem {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature = input.parse()?;
        let body: Option<Group> = if input.peek(token::Brace) {
            Some(input.parse()?)
        } else {
            None
        };
        let end = match &body {
            Some(body) => body.span(),
            None => input.parse::<Token![;]>()?.span,
        };
        Ok(Self {
            attributes,
            visibility,
            signature,
            body,
            end,
        })
    }
}

impl ToTokens for FunctionItem {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            attributes,
            visibility,
            signature,
            body,
            ..
        } = self;
        tokens.extend(quote!(#(#attributes)* #visibility #signature));
        match body {
            Some(body) => tokens.extend([TokenTree::Group(body.clone())]),
            None => tokens.extend(quote!(;)),
        }
    }
}

impl FunctionItem {
    /// Returns a function of the same signature that compiles and has no behaviour. It stands beside compile
    /// errors, so that the callers of the function give no further errors.
    pub(crate) fn stand_in(&self) -> Self {
        let mut item = self.clone();
        item.attributes.push(syn::parse_quote!(#[allow(unused)]));
        strip_parameter_docs(&mut item.signature);
        item.signature.constness = None;
        item.signature.asyncness = Some(Token![async](item.signature.fn_token.span));
        item.signature.safety = Safety::Default;
        item.signature.abi = None;
        item.signature.variadic = None;
        if item.body.is_none() {
            item.set_body(quote!(loop {}));
        }
        item
    }

    /// Replaces the semicolon or body. The new body has the place of the old end, so that the function counts
    /// as code of the user, which rustc reports if it is unused.
    pub(crate) fn set_body(&mut self, statements: TokenStream) {
        let mut body = Group::new(Delimiter::Brace, statements);
        body.set_span(self.end);
        self.body = Some(body);
    }
}

/// Removes the doc comments of parameters, which rustc refuses.
pub(crate) fn strip_parameter_docs(signature: &mut Signature) {
    for input in &mut signature.inputs {
        let attributes = match input {
            FnArg::Receiver(receiver) => &mut receiver.attrs,
            FnArg::Typed(parameter) => &mut parameter.attrs,
        };
        attributes.retain(|attribute| !attribute.path().is_ident("doc"));
    }
}

/// Checks that a function is async and has no other qualifiers.
pub(crate) fn check_qualifiers(signature: &Signature, attribute: &str, mistakes: &mut Mistakes) {
    if let Some(constness) = &signature.constness {
        mistakes.at(
            constness,
            format!("a function with `{attribute}` is called at run time; remove `const`"),
        );
    }
    if signature.asyncness.is_none() {
        mistakes.at(
            signature.fn_token,
            format!("a function with `{attribute}` is awaited; write `async fn`"),
        );
    }
    if let Safety::Unsafe(unsafety) = &signature.safety {
        mistakes.at(
            unsafety,
            format!("a function with `{attribute}` is safe to call; remove `unsafe`"),
        );
    }
    if let Some(abi) = &signature.abi {
        mistakes.at(
            abi,
            format!("a function with `{attribute}` is a Rust function; remove `extern`"),
        );
    }
    if let Some(variadic) = &signature.variadic {
        mistakes.at(
            variadic,
            "parameters have names and types; write `items: &[Item]`",
        );
    }
}

/// Returns whether the attribute makes its item, or an attribute of it, depend on the configuration.
pub(crate) fn is_condition(attribute: &Attribute) -> bool {
    ["cfg", "cfg_attr"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

/// Returns the name that a pattern of the form `name` or `mut name` binds.
pub(crate) fn bound_name(pattern: &Pat) -> Option<&syn::PatIdent> {
    match pattern {
        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => Some(name),
        _ => None,
    }
}
