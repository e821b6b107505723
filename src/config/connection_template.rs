//! Reading the templates of registered connections: fields that many connections share.

use super::registered::{is_own_problem, read_fields};
use super::tables::{NO_TABLE, TEMPLATES};
use super::{Callers, Problem, Variables};

/// The problems of the template called `name`. What a connection has to add, a missing field, a secret
/// or a label, is no problem of its template.
pub(super) fn read(name: &str, fields: Option<&Variables>, callers: &Callers) -> Vec<Problem> {
    let path = format!("{TEMPLATES}.{name}");
    let Some(fields) = fields else { return vec![Problem::new(path, NO_TABLE)] };
    let mut problems = Vec::new();
    read_fields(name, &path, fields, &Variables::new(), callers, &mut problems);
    problems.retain(|problem| is_own_problem(problem, &path, fields));
    if fields.contains_key("labels") {
        let message = "must stand in each connection: labels are its own";
        problems.push(Problem::new(format!("{path}.labels"), message));
    }
    problems
}
