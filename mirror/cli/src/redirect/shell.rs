//! The steps as a script for sh.

use std::fmt::Write;

use super::steps::{Line, Part, Step, Steps, When};

/// Whether the host has IPv6: an address of it, be it the loopback's.
const HAS_IPV6: &str = r#"[ -n "$(cat /proc/net/if_inet6 2>/dev/null)" ]"#;

pub(super) fn script(steps: &Steps) -> String {
    let mut text =
        "#!/bin/sh\n# Made by `mirror redirect print`; `mirror redirect install` does the same.\nset -eu\n".to_owned();
    write_steps(&mut text, steps, 0);
    text
}

fn write_steps(text: &mut String, steps: &Steps, depth: usize) {
    match steps {
        Steps::Parts { parts, .. } => parts.iter().for_each(|part| write_part(text, part, depth)),
        Steps::Either(first, second) => {
            if let Steps::Parts { check: Some(check), .. } = &**first {
                let mut checked = String::new();
                write_step(&mut checked, check, 0);
                // The document follows the line that asks for it.
                let (command, rest) = checked.split_once('\n').unwrap_or((&checked, ""));
                let (command, document) = command.split_once(" <<").unwrap_or((command, ""));
                let _ = writeln!(text, "\n# nft where it works, else iptables.");
                let _ = write!(text, "if {command} 2>/dev/null <<{document}\n{rest}then\n");
            }
            write_steps(text, first, depth + 1);
            text.push_str("else\n");
            write_steps(text, second, depth + 1);
            text.push_str("fi\n");
        }
    }
}

fn write_part(text: &mut String, part: &Part, depth: usize) {
    let indent = "    ".repeat(depth);
    let _ = writeln!(text, "\n{indent}# {}", part.why);
    let mut conditions = Vec::new();
    if part.ipv6 {
        conditions.push(HAS_IPV6.to_owned());
    }
    if let Some(program) = part.unless_missing {
        conditions.push(format!("command -v {program} >/dev/null"));
    }
    if conditions.is_empty() {
        part.steps.iter().for_each(|step| write_step(text, step, depth));
        return;
    }
    let _ = writeln!(text, "{indent}if {}; then", conditions.join(" && "));
    part.steps.iter().for_each(|step| write_step(text, step, depth + 1));
    let _ = writeln!(text, "{indent}fi");
}

fn write_step(text: &mut String, step: &Step, depth: usize) {
    let indent = "    ".repeat(depth);
    let condition = match &step.when {
        When::Always => String::new(),
        When::Succeeds(words) => format!("if {words} >/dev/null 2>&1; then "),
        When::Prints(words) => format!("if [ -n \"$({words} 2>/dev/null)\" ]; then "),
        When::PrintsNothing(words) => format!("if [ -z \"$({words} 2>/dev/null)\" ]; then "),
    };
    let end = if condition.is_empty() { "" } else { "; fi" };
    let run = &step.run;
    if step.input.is_empty() {
        let _ = writeln!(text, "{indent}{condition}{run}{end}");
        return;
    }
    if step.input.iter().all(|line| matches!(line, Line::Always(_))) && end.is_empty() {
        let _ = writeln!(text, "{indent}{run} <<'EOF'");
        for line in &step.input {
            if let Line::Always(line) = line {
                let _ = writeln!(text, "{line}");
            }
        }
        text.push_str("EOF\n");
        return;
    }
    let _ = writeln!(text, "{indent}{condition}{{");
    for line in &step.input {
        let _ = match line {
            Line::Always(line) => writeln!(text, "{indent}    echo '{line}'"),
            Line::If(words, line) => {
                writeln!(text, "{indent}    if {words} >/dev/null 2>&1; then echo '{line}'; fi")
            }
        };
    }
    let _ = writeln!(text, "{indent}}} | {run}{end}");
}
