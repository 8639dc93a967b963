//! The output of `#[llm_function]` and `#[llm_chat]`: a static description, and one chain of calls on it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::declaration::{Declaration, DeclarationKind, stand_in_of_unusable};
use crate::function_item::FunctionItem;
use crate::mistakes::Mistakes;
use crate::options::{Accepted, LLM_CHAT, LLM_FUNCTION, Options};

/// Expands `#[llm_function(options)] item`.
pub(crate) fn llm_function(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(&FUNCTION, options, item)
}

/// Expands `#[llm_chat(options)] item`.
pub(crate) fn llm_chat(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(&CHAT, options, item)
}

/// How the two attributes differ.
struct Form {
    kind: DeclarationKind,
    accepted: &'static Accepted,
    /// Name of the static.
    description: &'static str,
    /// Type of the static, in `llmpool::function`.
    description_type: &'static str,
    /// Type of a call, in `llmpool::function`.
    call_type: &'static str,
}

const FUNCTION: Form = Form {
    kind: DeclarationKind::Function,
    accepted: &LLM_FUNCTION,
    description: "FUNCTION",
    description_type: "Function",
    call_type: "Call",
};

const CHAT: Form = Form {
    kind: DeclarationKind::Chat,
    accepted: &LLM_CHAT,
    description: "CHAT",
    description_type: "ChatFunction",
    call_type: "ChatCall",
};

fn expand(form: &Form, options: TokenStream, item: TokenStream) -> TokenStream {
    let item: FunctionItem = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let mut mistakes = Mistakes::default();
    let options = Options::parse(options, form.accepted, &mut mistakes);
    let declaration = Declaration::read(&item, form.kind, &mut mistakes);
    if let Some(declaration) = &declaration {
        options.check_scope(declaration.parameters(), &mut mistakes);
    }
    let krate = &options.krate;
    let call_type = name(form.call_type);
    let call_type = quote!(#krate::function::#call_type);
    let expanded = match declaration {
        Some(declaration) if mistakes.is_empty() => {
            declaration.with_body(&call_type, body(form, &declaration, &options))
        }
        Some(declaration) => declaration.stand_in(&call_type),
        None => stand_in_of_unusable(&item),
    };
    let errors = mistakes.into_compile_errors();
    quote!(#errors #expanded)
}

fn body(form: &Form, declaration: &Declaration, options: &Options) -> TokenStream {
    let Options { krate, calls, .. } = options;
    let Declaration {
        model,
        history,
        output,
        ..
    } = declaration;
    let [description, description_type] = [form.description, form.description_type].map(name);
    let function_name = declaration.name();
    let pieces = declaration.pieces(krate);
    let new = declaration.call_at_output(
        &quote!(#krate::function::#description_type::new),
        &quote!(#function_name, #pieces),
    );
    let history = history.as_ref().map(|history| quote!(, #history));
    let arguments = declaration.argument_calls();
    quote! {
        static #description: #krate::function::#description_type<#output> =
            #new;
        #description.call(#model #history) #arguments #calls
    }
}

fn name(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

#[cfg(test)]
mod tests;
