//! Collects all mistakes of one item, so that the compiler reports them together.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// The errors found so far, in the order of the source.
#[derive(Default)]
pub(crate) struct Mistakes {
    error: Option<syn::Error>,
}

impl Mistakes {
    /// Adds an error that covers `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.add(syn::Error::new_spanned(tokens, message));
    }

    /// Adds an error at one span, for places that have no tokens of their own.
    pub(crate) fn at_span(&mut self, span: Span, message: impl Display) {
        self.add(syn::Error::new(span, message));
    }

    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.error {
            Some(errors) => errors.combine(error),
            None => self.error = Some(error),
        }
    }

    /// Returns the value, or adds the error and returns `None`.
    pub(crate) fn value_of<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.error.is_none()
    }

    /// Returns the number of mistakes.
    pub(crate) fn len(&self) -> usize {
        self.error.iter().flatten().count()
    }

    /// Returns one `compile_error!` for each mistake.
    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.error.map(syn::Error::into_compile_error).unwrap_or_default()
    }
}
