//! Manual pages, as `man` reads them.

use std::io::{Result, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// The manual page of the program.
///
/// # Errors
/// None: pages are written to memory.
pub fn page() -> Result<Vec<u8>> {
    render(built(crate::command()))
}

/// The names of the files of all pages, and the pages: `fm.1`, and one for each command, such as `fm-train.1`.
///
/// # Errors
/// None: pages are written to memory.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut pages = vec![];
    collect(built(crate::command()), &mut pages)?;
    Ok(pages)
}

/// The command with the full names of its subcommands. `fm help` has no page.
fn built(command: Command) -> Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

fn collect(command: Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let subcommands: Vec<Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    pages.push((Man::new(command.clone()).get_filename(), render(command)?));
    subcommands.into_iter().try_for_each(|sub| collect(sub, pages))
}

fn render(command: Command) -> Result<Vec<u8>> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let has_subcommands = command.has_subcommands();
    let version = format!("fm {}", crate::VERSION);
    let page = Man::new(command).source(version).manual("fm");
    let mut text = vec![];
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if has_subcommands {
        page.render_subcommands_section(&mut text)?;
    }
    // clap_mangen would call this section EXTRA.
    text.write_all(examples(&after).render().as_bytes())?;
    Ok(text)
}

/// The examples after a help, line by line.
fn examples(after: &str) -> Roff {
    let mut section = Roff::new();
    let lines = after.lines().filter(|line| line.starts_with(' ')).map(str::trim);
    section.control("SH", ["EXAMPLES"]).control("nf", []);
    lines.for_each(|line| _ = section.text([roman(line)]));
    section.control("fi", []);
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &[u8]) -> &str {
        std::str::from_utf8(page).unwrap()
    }

    #[test]
    fn every_command_has_a_page_with_its_flags_and_examples() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["fm.1", "fm-train.1", "fm-serve.1", "fm-data.1", "fm-data-download.1", "fm-man.1"] {
            assert!(names.contains(&name), "no {name} in {names:?}");
        }
        for (name, page) in &pages {
            let (page, command) = (text(page), name.strip_suffix(".1").unwrap());
            assert!(page.contains(&format!(".TH {command} 1")) && page.contains(".SH SYNOPSIS"), "{name}: {page}");
            // A hyphen that can be searched and copied is written `\-`.
            assert!(command == "fm-data" || page.contains(".SH EXAMPLES\n.nf\nfm "), "{name}: {page}");
        }
        let (_, train) = pages.iter().find(|(name, _)| name == "fm-train.1").unwrap();
        assert!(text(train).contains("\\-\\-epochs") && text(train).contains("\\-\\-log\\-format"), "{}", text(train));
    }

    #[test]
    fn the_page_of_the_program_is_the_first_of_all() {
        assert_eq!((String::from("fm.1"), page().unwrap()), pages().unwrap()[0]);
    }
}
