//! What a tool consists of, whether it is a function or a method.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::{Attribute, FnArg, GenericParam, Generics, Path, ReturnType, Signature, Type};

use crate::doc_comment::{doc_lines, joined};
use crate::function_item::check_qualifiers;
use crate::mistakes::Mistakes;
use crate::options::Options;
use crate::tool_parameter::ToolParameter;
use crate::type_tokens::{ends, find_borrow, find_ident, free_ident, peeled, respanned};

/// The longest name of a tool that providers accept, in bytes.
const MAX_NAME: usize = 64;

/// A tool with its name, description, parameters and options.
pub(crate) struct ToolDefinition {
    pub(crate) name: String,
    description: String,
    parameters: Vec<ToolParameter>,
    /// Whether the function returns a `Result`.
    is_fallible: bool,
    /// Where the type of the result stands.
    result_place: Span,
    /// Name of the struct of the arguments.
    arguments_type: Ident,
    /// Builder calls of the options.
    calls: TokenStream,
}

impl ToolDefinition {
    /// Reads a tool, adds everything that is wrong with it to `mistakes`, and removes from the signature what
    /// rustc does not accept in it. The receiver is left to the caller.
    ///
    /// `outer` are the generics of the `impl` block.
    pub(crate) fn take(
        attributes: &[Attribute],
        signature: &mut Signature,
        outer: Option<&Generics>,
        options: &Options,
        mistakes: &mut Mistakes,
    ) -> Self {
        check_qualifiers(signature, "#[tool]", mistakes);
        check_generics(signature, outer, mistakes);
        check_output(&signature.output, mistakes);
        let name = read_name(signature, options, mistakes);
        let description = read_description(attributes, signature, mistakes);
        let parameters = signature.inputs.iter_mut().filter_map(|input| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(parameter) => ToolParameter::take(parameter, mistakes),
        });
        let parameters = parameters.collect();
        let krate = &options.krate;
        let inputs = &signature.inputs;
        Self {
            name,
            description,
            parameters,
            is_fallible: is_result(&signature.output),
            result_place: place_of(&signature.output),
            arguments_type: free_ident("Arguments", &quote!(#krate #inputs)),
            calls: options.calls.clone(),
        }
    }

    /// Returns the struct that the arguments of a call are parsed into.
    pub(crate) fn arguments_struct(&self, krate: &Path) -> TokenStream {
        let Self {
            arguments_type,
            parameters,
            ..
        } = self;
        let fields = parameters.iter().map(ToolParameter::field);
        let [serde, schemars] = ["serde", "schemars"].map(|name| {
            let name = Ident::new(name, Span::call_site());
            quote!(#krate::function::#name).to_string().replace(' ', "")
        });
        quote! {
            #[derive(#krate::function::serde::Deserialize, #krate::function::schemars::JsonSchema)]
            #[serde(crate = #serde)]
            #[schemars(crate = #schemars)]
            struct #arguments_type {
                #(#fields),*
            }
        }
    }

    /// Returns the expression of the tool. `shared` is the value whose method it is.
    pub(crate) fn callable(
        &self,
        krate: &Path,
        function: &TokenStream,
        shared: Option<&Ident>,
    ) -> TokenStream {
        let Self {
            name,
            description,
            parameters,
            arguments_type,
            calls,
            ..
        } = self;
        // Names of the macro, which no name of the user can collide with.
        let arguments = Ident::new("arguments", Span::mixed_site());
        let pattern = if parameters.is_empty() {
            quote!(_)
        } else {
            quote!(#arguments)
        };
        let receiver = shared.map(|shared| quote!(&#shared,));
        let values = parameters.iter().map(|parameter| parameter.argument(&arguments));
        let awaited = quote!(#function(#receiver #(#values),*).await);
        let result = if self.is_fallible {
            awaited
        } else {
            quote!(::core::result::Result::<_, ::core::convert::Infallible>::Ok(#awaited))
        };
        let closure = match shared {
            None => quote!(|#pattern: #arguments_type| async move { #result }),
            Some(shared) => quote! {
                move |#pattern: #arguments_type| {
                    let #shared = ::std::sync::Arc::clone(&#shared);
                    async move { #result }
                }
            },
        };
        // An error about the type of the result points at it.
        let new = respanned(&quote!(#krate::tool::CallableTool::new), self.result_place);
        let mut values = Group::new(Delimiter::Parenthesis, quote!(#name, #description, #closure));
        values.set_span(self.result_place);
        quote!(#new #values #calls)
    }
}

fn check_generics(signature: &Signature, outer: Option<&Generics>, mistakes: &mut Mistakes) {
    if !signature.generics.params.is_empty() {
        let hint = match outer {
            None => "; for a generic type, write `#[tools]` on its `impl` block",
            Some(_) => "",
        };
        mistakes.at(
            &signature.generics.params,
            format!("the arguments of a tool have fixed types without lifetimes; remove the generics{hint}"),
        );
    }
    for parameter in outer.into_iter().flat_map(|generics| &generics.params) {
        let generic = match parameter {
            GenericParam::Type(parameter) => &parameter.ident,
            GenericParam::Const(parameter) => &parameter.ident,
            GenericParam::Lifetime(_) => continue,
        };
        if let Some(mention) = find_ident(&signature.inputs, &generic.to_string()) {
            mistakes.at(
                mention,
                format!("the arguments of a tool have fixed types; replace `{generic}` by a type"),
            );
        }
    }
}

fn check_output(output: &ReturnType, mistakes: &mut Mistakes) {
    if let Some(borrow) = find_borrow(output) {
        mistakes.at(
            borrow,
            "the result of a tool outlives its arguments; return an owned type such as `String`",
        );
    }
}

fn place_of(output: &ReturnType) -> Span {
    match output {
        ReturnType::Default => Span::call_site(),
        ReturnType::Type(_, ty) => Span::call_site().located_at(ends(ty).0),
    }
}

fn is_result(output: &ReturnType) -> bool {
    match output {
        ReturnType::Default => false,
        ReturnType::Type(_, ty) => match peeled(ty) {
            Type::Path(path) => path
                .path
                .segments
                .last()
                .is_some_and(|segment| segment.ident == "Result"),
            _ => false,
        },
    }
}

fn read_name(signature: &Signature, options: &Options, mistakes: &mut Mistakes) -> String {
    let ident = &signature.ident;
    let (name, span, fix) = match &options.name {
        Some((name, span)) => (name.clone(), *span, ""),
        None => (
            ident.unraw().to_string(),
            ident.span(),
            "; set one, as `#[tool(name = \"…\")]`",
        ),
    };
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_valid) {
        let message = "the name of a tool has 1 to 64 of the characters a-z, A-Z, 0-9, `_` and `-`";
        mistakes.at_span(span, format!("{message}{fix}"));
    }
    name
}

fn read_description(attributes: &[Attribute], signature: &Signature, mistakes: &mut Mistakes) -> String {
    let before = mistakes.len();
    let lines = doc_lines(attributes, mistakes);
    if lines.is_empty() && mistakes.len() == before {
        mistakes.at(
            &signature.ident,
            "the model reads the description of the tool; write `/// …` above the function",
        );
    }
    joined(&lines)
}
