//! Files of settings for JavaScript.

use napi::Env;
use napi_derive::napi;
use sparsync_core::{Setting, SettingValue, parse_settings};

use crate::error::throw;
use crate::number::number;

/// What a file says about one key. One of `switch`, `number`, `texts` and `other` is there, or none for a table.
#[napi(object, object_from_js = false)]
pub struct NativeSetting {
    /// The names of the tables that it stands in, and its own.
    pub keys: Vec<String>,
    /// The line of the file, from 1.
    pub line: f64,
    /// `true` or `false`.
    pub switch: Option<bool>,
    /// A whole number, in digits.
    pub number: Option<String>,
    /// A text, or several.
    pub texts: Option<Vec<String>>,
    /// The texts are a list.
    pub is_list: bool,
    /// What no option has, by TOML's name for it.
    pub other: Option<String>,
}

fn setting(Setting { keys, line, value }: Setting) -> NativeSetting {
    let mut told = NativeSetting {
        keys,
        line: number(line),
        switch: None,
        number: None,
        texts: None,
        is_list: false,
        other: None,
    };
    match value {
        SettingValue::Switch(on) => told.switch = Some(on),
        SettingValue::Integer(integer) => told.number = Some(integer.to_string()),
        SettingValue::Text(text) => told.texts = Some(vec![text]),
        SettingValue::Texts(texts) => {
            told.texts = Some(texts);
            told.is_list = true;
        }
        SettingValue::Table => {}
        SettingValue::Other(kind) => told.other = Some(kind.to_owned()),
    }
    told
}

/// What the text of a file of settings says.
#[napi(catch_unwind)]
pub fn parse_settings_file(env: &Env, text: String) -> napi::Result<Vec<NativeSetting>> {
    Ok(throw(env, parse_settings(&text))?.into_iter().map(setting).collect())
}
