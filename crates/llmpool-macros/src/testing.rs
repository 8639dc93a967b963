//! Helpers of the tests.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proc_macro2::{TokenStream, TokenTree};

/// Returns the messages of the `compile_error!`s in an expansion, in their order.
pub(crate) fn messages(expansion: TokenStream) -> Vec<String> {
    let mut messages = Vec::new();
    let mut after_compile_error = false;
    for token in expansion {
        match token {
            TokenTree::Ident(ident) => after_compile_error = ident == "compile_error",
            TokenTree::Group(group) if after_compile_error => {
                messages.push(syn::parse2::<syn::LitStr>(group.stream()).unwrap().value());
                after_compile_error = false;
            }
            _ => {}
        }
    }
    messages
}

/// Formats an expansion as rustfmt does.
pub(crate) fn pretty(expansion: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(expansion).unwrap())
}
