//! The one place where an error of the core becomes one of JavaScript.

use std::fmt::Write;
use std::future::Future;

use napi::bindgen_prelude::{JsValue, PromiseRaw, ToNapiValue, Uint8Array};
use napi::{Env, Status};
use napi_derive::napi;
use sparsync_core::{Detail, Error, Side};

/// A JavaScript error with the properties that the facade reads: `code`, `side`, `retryable`, and where known `path`,
/// `pathBytes`, `details` (JSON).
pub(crate) fn to_js(env: &Env, error: &Error) -> napi::Error {
    let build = || -> napi::Result<napi::Error> {
        let mut object = env.create_error(napi::Error::new(Status::GenericFailure, error.message()))?;
        object.set("code", error.kind().code())?;
        object.set("side", NativeSide::from(error.side()))?;
        object.set("retryable", error.kind().retryable())?;
        if let Some(path) = error.path() {
            object.set("path", String::from_utf8_lossy(path).as_ref())?;
            if std::str::from_utf8(path).is_err() {
                object.set("pathBytes", Uint8Array::from(path))?;
            }
        }
        if !error.details().is_empty() {
            object.set("details", details_json(error.details()))?;
        }
        Ok(napi::Error::from(object.to_unknown()))
    };
    build().unwrap_or_else(|failed| failed)
}

/// Which end something happened on.
#[napi(string_enum = "lowercase")]
pub enum NativeSide {
    /// This process.
    Local,
    /// The peer.
    Remote,
}

impl From<Side> for NativeSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Local => Self::Local,
            Side::Remote => Self::Remote,
        }
    }
}

/// Facts as a JSON object.
pub(crate) fn details_json(details: &[(String, Detail)]) -> String {
    let mut json = String::from("{");
    for (index, (name, value)) in details.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        quote(name, &mut json);
        json.push(':');
        match value {
            Detail::Number(number) => json.push_str(&number.to_string()),
            Detail::Text(text) => quote(text, &mut json),
        }
    }
    json.push('}');
    json
}

fn quote(text: &str, json: &mut String) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

/// A promise for what `future` gives, converted on JavaScript's thread.
pub(crate) fn promise<'env, T: Send + 'static, V: ToNapiValue + 'static>(
    env: &'env Env,
    future: impl Future<Output = sparsync_core::Result<T>> + Send + 'static,
    convert: impl FnOnce(&'env Env, T) -> napi::Result<V> + 'static,
) -> napi::Result<PromiseRaw<'env, V>> {
    env.spawn_future_with_callback(async move { Ok(future.await) }, move |env, result| match result {
        Ok(value) => convert(env, value),
        Err(error) => Err(to_js(env, &error)),
    })
}

/// Converts an error that is thrown at once.
pub(crate) fn throw<T>(env: &Env, result: sparsync_core::Result<T>) -> napi::Result<T> {
    result.map_err(|error| to_js(env, &error))
}
