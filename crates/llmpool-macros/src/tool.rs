//! The output of `#[tool]`: the function, and beside it a type of the same name with the function `tool`.
//!
//! The type has no constructor, so its name is free for the function in expressions. The tool is made once, so that its
//! schema is, too.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::Path;
use syn::ext::IdentExt as _;

use crate::function_item::FunctionItem;
use crate::mistakes::Mistakes;
use crate::options::{Options, TOOL};
use crate::tool_definition::ToolDefinition;

/// Expands `#[tool(options)] item`.
pub(crate) fn tool(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut function: FunctionItem = match syn::parse2(item) {
        Ok(function) => function,
        Err(error) => return error.into_compile_error(),
    };
    let mut mistakes = Mistakes::default();
    let options = Options::parse(options, &TOOL, &mut mistakes);
    let receiver = function.signature.receiver().cloned();
    if let Some(receiver) = &receiver {
        mistakes.at(
            receiver,
            "a method is a tool of its value; write `#[tools]` on the `impl` block too",
        );
    }
    if function.body.is_none() {
        mistakes.at(
            &function.signature.ident,
            "a tool is code that the model calls; write a body",
        );
    }
    let definition = ToolDefinition::take(
        &function.attributes,
        &mut function.signature,
        None,
        &options,
        &mut mistakes,
    );
    if mistakes.is_empty() {
        let body = tool_body(&function, &definition, &options.krate);
        let beside = tool_type(&function, &options.krate, &body);
        return quote!(#function #beside);
    }
    // A method stands in an `impl` block, where no type can be declared.
    let beside = receiver
        .is_none()
        .then(|| tool_type(&function, &options.krate, &quote!(loop {})));
    let function = function.stand_in();
    let errors = mistakes.into_compile_errors();
    quote!(#errors #function #beside)
}

fn tool_body(function: &FunctionItem, definition: &ToolDefinition, krate: &Path) -> TokenStream {
    let arguments = definition.arguments_struct(krate);
    let callable = definition.callable(krate, &function.signature.ident.to_token_stream(), None);
    quote! {
        #arguments
        static TOOL: ::std::sync::OnceLock<#krate::tool::CallableTool> = ::std::sync::OnceLock::new();
        TOOL.get_or_init(|| #callable).clone()
    }
}

fn tool_type(function: &FunctionItem, krate: &Path, body: &TokenStream) -> TokenStream {
    let FunctionItem {
        attributes,
        visibility,
        signature,
        ..
    } = function;
    let name = &signature.ident;
    let conditions: Vec<_> = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .collect();
    let shown = name.unraw();
    let of_type = format!(" The tool that calls the function `{shown}`.");
    let of_function = format!(" Returns the tool that calls the function `{shown}`.");
    quote! {
        #(#conditions)*
        #[doc = #of_type]
        #[allow(non_camel_case_types, missing_copy_implementations, missing_debug_implementations)]
        #visibility struct #name {}

        #(#conditions)*
        impl #name {
            #[doc = #of_function]
            #visibility fn tool() -> #krate::tool::CallableTool {
                #body
            }
        }
    }
}

#[cfg(test)]
mod tests;
