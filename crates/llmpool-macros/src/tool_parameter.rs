//! A parameter of a tool: what the model reads of it, and how the function gets it.
//!
//! The arguments of a call are parsed into a struct that owns them. A reference parameter borrows from its
//! field.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, PatType, Type, TypeReference};

use crate::doc_comment::doc_lines;
use crate::function_item::{bound_name, is_condition};
use crate::mistakes::Mistakes;
use crate::type_tokens::{find_borrow, find_ident, peeled};

/// A parameter with its field in the struct of the arguments.
pub(crate) struct ToolParameter {
    name: Ident,
    /// Doc comment, and attributes for serde and schemars.
    attributes: Vec<Attribute>,
    owned: TokenStream,
    is_reference: bool,
}

impl ToolParameter {
    /// Reads a parameter and moves the attributes of its field out of it.
    pub(crate) fn take(parameter: &mut PatType, mistakes: &mut Mistakes) -> Option<Self> {
        let attributes: Vec<Attribute> = parameter
            .attrs
            .extract_if(.., |attribute| is_for_field(attribute))
            .collect();
        if let Some(condition) = parameter.attrs.iter().find(|attribute| is_condition(attribute)) {
            mistakes.at(
                condition,
                "a parameter cannot be conditional; put the condition on the function",
            );
        }
        let Some(name) = bound_name(&parameter.pat) else {
            mistakes.at(
                &parameter.pat,
                "the model sets a parameter by its name; write `name: Type`",
            );
            return None;
        };
        let name = name.ident.clone();
        let before = mistakes.len();
        if doc_lines(&attributes, mistakes).is_empty() && mistakes.len() == before {
            let message = format!(
                "the model reads the description of `{}`; write `/// …` above the parameter",
                name.unraw()
            );
            mistakes.at(&name, message);
        }
        let (owned, is_reference) = owned_type(&parameter.ty, mistakes)?;
        Some(Self {
            name,
            attributes,
            owned,
            is_reference,
        })
    }

    /// Returns `/// doc name: Type`.
    pub(crate) fn field(&self) -> TokenStream {
        let Self {
            name,
            attributes,
            owned,
            ..
        } = self;
        quote!(#(#attributes)* #name: #owned)
    }

    /// Returns the argument of the function, given the struct of the arguments.
    pub(crate) fn argument(&self, arguments: &Ident) -> TokenStream {
        let name = &self.name;
        if self.is_reference {
            quote!(&#arguments.#name)
        } else {
            quote!(#arguments.#name)
        }
    }
}

fn is_for_field(attribute: &Attribute) -> bool {
    ["doc", "serde", "schemars"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

/// Returns the type of the field, and whether the parameter borrows from it.
fn owned_type(ty: &Type, mistakes: &mut Mistakes) -> Option<(TokenStream, bool)> {
    let (owned, is_reference) = match peeled(ty) {
        Type::Reference(reference) => (referenced(reference, mistakes)?, true),
        _ => (ty.to_token_stream(), false),
    };
    check_owned(&owned, mistakes).then_some((owned, is_reference))
}

fn referenced(reference: &TypeReference, mistakes: &mut Mistakes) -> Option<TokenStream> {
    if let Some(mutability) = &reference.mutability {
        mistakes.at(
            mutability,
            "an argument is passed as a value or as `&`; remove `mut`",
        );
        return None;
    }
    if let Some(lifetime) = reference
        .lifetime
        .as_ref()
        .filter(|lifetime| lifetime.ident != "_")
    {
        mistakes.at(
            lifetime,
            "an argument lives as long as the call of the tool; remove the lifetime",
        );
        return None;
    }
    Some(match peeled(&reference.elem) {
        Type::Path(path) if path.path.is_ident("str") => quote_spanned!(path.span()=> ::std::string::String),
        Type::Slice(slice) => {
            let element = &slice.elem;
            quote_spanned!(slice.span()=> ::std::vec::Vec<#element>)
        }
        other => other.to_token_stream(),
    })
}

/// Checks that the type of a field can be parsed from JSON, as far as its tokens show.
fn check_owned(owned: &TokenStream, mistakes: &mut Mistakes) -> bool {
    let before = mistakes.len();
    if let Some(borrow) = find_borrow(owned) {
        let message =
            "a reference inside another type has no owner; write an owned type, such as `Option<String>`";
        mistakes.at(borrow, message);
    }
    for keyword in ["dyn", "impl"] {
        if let Some(keyword) = find_ident(owned, keyword) {
            let message = "an argument is parsed from JSON; write a type that implements `Deserialize` and `JsonSchema`";
            mistakes.at(keyword, message);
        }
    }
    if let Some(keyword) = find_ident(owned, "Self") {
        mistakes.at(
            keyword,
            "the type of an argument cannot be `Self`; write the name of the type",
        );
    }
    mistakes.len() == before
}
