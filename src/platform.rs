//! The Worker's shell: the only part that knows JavaScript.

mod call;
mod entry;
mod glue;
mod ids;
mod isolate;
mod keeper;
mod kv;
mod object;
mod records;
mod runtime;
mod waiting;

#[cfg(test)]
mod tests;
