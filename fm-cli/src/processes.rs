//! Training by several processes, which a launcher such as `torchrun` starts.

use std::time::Duration;

use anyhow::Result;
use fm_args::Command;
use fm_args::commands::Train;
use fm_args::flags::Processes;
use fm_core::Error;
use fm_core::group::{Group, Rendezvous, is_this_machine};

use crate::interruption::Interrupted;

/// Meets the other processes; `None` if there is only this one. The second result is whether a launcher has restarted them.
///
/// # Errors
/// Those of [`Rendezvous::of_variables`] and [`Group::join`].
pub fn join(flags: &Processes) -> Result<(Option<Group>, bool)> {
    if flags.distributed.is_none() {
        return Ok((None, false));
    }
    let timeout = Duration::from_secs(flags.distributed_timeout);
    let rendezvous = Rendezvous::of_variables(|name| std::env::var(name).ok(), timeout)?;
    let group = if rendezvous.size > 1 { Some(Group::join(&rendezvous)?) } else { None };
    Ok((group, rendezvous.restarts > 0))
}

/// Whether this process trains for another one, which writes files and messages.
pub fn is_follower(command: &Command) -> bool {
    let Command::Train(train) = command else { return false };
    let Train { processes, .. } = &**train;
    processes.distributed.is_some() && std::env::var("RANK").is_ok_and(|rank| rank.trim() != "0")
}

/// Whether another process says what went wrong, on the same console.
pub fn is_told_elsewhere(error: &anyhow::Error, command: &Command) -> bool {
    let of = |name: &str| std::env::var(name).ok();
    // Without the first variable, processes of one machine meet at its own address.
    let is_one_machine = match of("LOCAL_WORLD_SIZE") {
        Some(local) => Some(local) == of("WORLD_SIZE"),
        None => of("MASTER_ADDR").is_some_and(|address| is_this_machine(&address)),
    };
    let is_of_peer = matches!(error.downcast_ref::<Error>(), Some(Error::PeerFailed { .. }));
    (is_of_peer && is_one_machine) || (error.is::<Interrupted>() && is_follower(command))
}

/// Passes on a result if all processes have succeeded; see [`Group::all_succeed`].
pub fn together<T>(group: Option<&Group>, result: Result<T>) -> Result<T> {
    match group {
        Some(group) => group.all_succeed(result),
        None => result,
    }
}

/// Fails unless all processes have the same text.
pub fn agree(group: Option<&Group>, what: &str, text: &str) -> Result<()> {
    Ok(group.map_or(Ok(()), |group| group.agree(what, text))?)
}
