//! Prints the problems of a configuration as JSON.
//!
//! ```text
//! porteiro-check FILE [--env NAME] [--local] [--config PATH] [--dev-vars]
//! ```
//!
//! With `--dev-vars`, standard input is a JSON array of [`DevVars`]: no argument holds a secret.
//! `--config` is passed on to the printed commands for secrets. The exit code is 0 if the file was
//! read, even with problems, else 2.

use std::io::Write as _;
use std::process::ExitCode;
use std::{env, fs, io};

use porteiro_check::development::DevVars;
use porteiro_check::{Options, printed};

fn main() -> ExitCode {
    match run(env::args().skip(1)) {
        Ok(json) if writeln!(io::stdout(), "{json}").is_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(message) => {
            // If standard error is closed, the exit code still reports the failure.
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<String, String> {
    let file = args.next().ok_or("Name the file to check.")?;
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--local" => options.local = true,
            "--env" => options.environment = Some(args.next().ok_or("--env needs a name.")?),
            "--config" => options.config = Some(args.next().ok_or("--config needs a path.")?),
            "--dev-vars" => options.dev_vars = read_dev_vars()?,
            _ => return Err(format!("There is no option {arg}.")),
        }
    }
    let bytes = fs::read(&file).map_err(|error| format!("{file} cannot be read: {}.", error.kind()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{file} cannot be read: it is not UTF-8."))?;
    printed(&file, &text, &options)
}

/// The variables on standard input. No error has their text.
fn read_dev_vars() -> Result<Vec<DevVars>, String> {
    let text = io::read_to_string(io::stdin()).map_err(|error| error.kind().to_string())?;
    serde_json::from_str(&text).map_err(|_| "Standard input is not the JSON of --dev-vars.".to_owned())
}
