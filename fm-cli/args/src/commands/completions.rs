//! `fm completions`

use clap::builder::PossibleValuesParser;

use crate::completion::shells;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm completions bash > ~/.local/share/bash-completion/completions/fm\n  \
                        fm completions zsh > ~/.zfunc/_fm\n  \
                        fm completions fish > ~/.config/fish/completions/fm.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_parser = PossibleValuesParser::new(shells()))]
    pub shell: String,
}
