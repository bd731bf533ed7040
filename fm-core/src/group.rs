//! Processes that train together, as PyTorch's process groups: each has a rank, and all of them call the same methods in the
//! same order.
//!
//! Processes meet at the address of rank 0 or of their launcher ([`Rendezvous`]). The connections are neither encrypted nor
//! authenticated, so the network between the processes must be trusted.

use std::cell::Cell;
use std::ops::Range;
use std::time::Duration;

use tch::{Device, Kind, Tensor};
use xxhash_rust::xxh3::xxh3_64;

use crate::bridge::{self, RawGroup};
use crate::error::{Error, Result, first_line};

/// Where processes meet, and which of them this one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendezvous {
    /// The host of rank 0.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// This process, counted from 0.
    pub rank: usize,
    /// The number of processes.
    pub size: usize,
    /// Whether the launcher serves at the address, instead of rank 0.
    pub has_server: bool,
    /// How often the launcher has restarted the processes.
    pub restarts: u64,
    /// The network interface between the processes; `None` for that of the host's name.
    pub interface: Option<String>,
    /// How long a process waits for the others.
    pub timeout: Duration,
}

impl Rendezvous {
    /// Reads the environment variables that `torchrun` and other launchers of PyTorch set: `MASTER_ADDR`, `MASTER_PORT`,
    /// `RANK` and `WORLD_SIZE`. `GLOO_SOCKET_IFNAME` names the network interface.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use fm_core::group::Rendezvous;
    ///
    /// let variables = [("MASTER_ADDR", "node-0"), ("MASTER_PORT", "29500"), ("RANK", "1"), ("WORLD_SIZE", "4")];
    /// let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
    /// let rendezvous = Rendezvous::of_variables(of, Duration::from_secs(60))?;
    /// assert_eq!((rendezvous.rank, rendezvous.size), (1, 4));
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Group`] for a variable that is missing or is not what it should be.
    pub fn of_variables(of: impl Fn(&str) -> Option<String>, timeout: Duration) -> Result<Rendezvous> {
        fn number<N: std::str::FromStr>(name: &str, text: Option<String>) -> Result<N> {
            let text = text.ok_or_else(|| missing(name))?;
            text.parse().map_err(|_| {
                Error::Group(format!("the variable {name} is `{text}`, which is not a number in its range"))
            })
        }
        let (rank, size) = (number("RANK", of("RANK"))?, number("WORLD_SIZE", of("WORLD_SIZE"))?);
        if rank >= size {
            return Err(Error::Group(format!("RANK is {rank}, but must be below WORLD_SIZE, which is {size}")));
        }
        let host = of("MASTER_ADDR").ok_or_else(|| missing("MASTER_ADDR"))?;
        let interface = of("GLOO_SOCKET_IFNAME").or_else(|| is_this_machine(&host).then(|| LOOPBACK.to_owned()));
        Ok(Rendezvous {
            port: number("MASTER_PORT", of("MASTER_PORT"))?,
            has_server: of("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|text| text == "True"),
            restarts: of("TORCHELASTIC_RESTART_COUNT")
                .map_or(Ok(0), |text| number("TORCHELASTIC_RESTART_COUNT", Some(text)))?,
            host,
            rank,
            size,
            interface,
            timeout,
        })
    }
}

/// Whether an address can only be that of the machine itself.
pub fn is_this_machine(address: &str) -> bool {
    ["localhost", "127.0.0.1", "::1"].contains(&address)
}

/// The name of the interface of one machine.
const LOOPBACK: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };

fn missing(name: &str) -> Error {
    Error::Group(format!(
        "the variable {name} is not set: start the processes with `torchrun --no-python --nproc-per-node N -- fm train ...`, \
         or set MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE"
    ))
}

/// What processes tell each other in a step, as bits.
const STOP: i64 = 1;
const FAILED: i64 = 2;
const SAVE: i64 = 4;

/// A group of processes, from the view of one of them.
#[derive(Debug)]
pub struct Group {
    raw: RawGroup,
    rank: usize,
    size: usize,
    /// What this process tells in the next step.
    says: Cell<i64>,
    /// What all processes have told in the last step.
    heard: Cell<i64>,
    /// The length of the numbers of a step.
    numbers: Cell<usize>,
    /// Whether a process has failed, and all know.
    has_ended: Cell<bool>,
}

impl Group {
    /// Waits for the other processes.
    ///
    /// # Errors
    /// [`Error::Group`] if not all of them come in time, or the address cannot be used.
    pub fn join(at: &Rendezvous) -> Result<Group> {
        let Rendezvous { host, port, rank, size, .. } = at;
        let raw = RawGroup::new(&bridge::Rendezvous {
            host,
            port: *port,
            rank: *rank,
            size: *size,
            serves: *rank == 0 && !at.has_server,
            // A restarted process must not find what the one before it has left.
            prefix: &format!("/fm/{}", at.restarts),
            timeout_ms: at.timeout.as_millis().try_into().unwrap_or(i64::MAX),
            interface: at.interface.as_deref().unwrap_or(""),
        });
        let raw = raw.map_err(|error| {
            Error::Group(format!(
                "rank {rank} of {size} could not meet the others at {host}:{port} within {} s: {}",
                at.timeout.as_secs(),
                reason(error)
            ))
        })?;
        let group = Group {
            raw,
            rank: *rank,
            size: *size,
            says: Cell::new(0),
            heard: Cell::new(0),
            numbers: Cell::new(0),
            has_ended: Cell::new(false),
        };
        // A connection that cannot be used fails here, before any work.
        group.gather(&[0])?;
        Ok(group)
    }

    /// This process, counted from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether this is the process that writes files and results.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// This process's part of `n` things, in the order of ranks. Parts differ by at most one.
    pub fn part(&self, n: usize) -> Range<usize> {
        self.part_of(self.rank, n)
    }

    /// As [`Group::part`], of another process.
    pub fn part_of(&self, rank: usize, n: usize) -> Range<usize> {
        n * rank / self.size..n * (rank + 1) / self.size
    }

    /// Sums a float32 tensor over all processes, in place. The result is the same on all of them, bit for bit.
    ///
    /// # Errors
    /// [`Error::Group`] if a process is lost.
    pub fn sum(&self, tensor: &Tensor) -> Result<()> {
        self.lost(self.raw.sum(tensor))
    }

    /// The numbers of each process, in the order of ranks. All of them give equally many.
    ///
    /// # Errors
    /// [`Error::Group`] if a process is lost.
    pub fn gather(&self, numbers: &[i64]) -> Result<Vec<Vec<i64>>> {
        let lengths = vec![numbers.len(); self.size];
        let all = Vec::<i64>::try_from(self.gather_parts(&Tensor::from_slice(numbers), &lengths)?)?;
        Ok(all.chunks(numbers.len().max(1)).map(<[i64]>::to_vec).collect())
    }

    /// The elements of each process one after the other, in the order of ranks. `lengths` has the number of elements of each.
    ///
    /// # Errors
    /// [`Error::Group`] if a process is lost.
    pub fn gather_parts(&self, part: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let own = part.numel() as i64;
        let input = part.f_flatten(0, -1)?.f_repeat([self.size as i64])?;
        let lengths: Vec<i64> = lengths.iter().map(|&length| length as i64).collect();
        let output = Tensor::f_empty([lengths.iter().sum::<i64>()], (part.kind(), Device::Cpu))?;
        self.lost(self.raw.exchange((&output, &lengths), (&input, &vec![own; self.size])))?;
        Ok(output)
    }

    /// Sends `counts[r]` consecutive elements of `input` to each rank r, and returns those that the others send, in the
    /// order of ranks: `expected[r]` from rank r. All of them know the counts before.
    ///
    /// # Errors
    /// [`Error::Group`] if a process is lost.
    pub(crate) fn exchange(&self, input: &Tensor, counts: &[usize], expected: &[usize]) -> Result<Tensor> {
        let [counts, expected] = [counts, expected].map(|counts| counts.iter().map(|&n| n as i64).collect::<Vec<_>>());
        let output = Tensor::f_empty([expected.iter().sum::<i64>()], (input.kind(), Device::Cpu))?;
        self.lost(self.raw.exchange((&output, &expected), (input, &counts)))?;
        Ok(output)
    }

    /// Copies the elements of rank 0's tensor into those of all others, which have the same shape.
    ///
    /// # Errors
    /// [`Error::Group`] if a process is lost.
    pub fn broadcast(&self, tensor: &Tensor) -> Result<()> {
        self.lost(self.raw.broadcast(tensor))
    }

    /// The numbers of rank 0. Others give as many.
    ///
    /// # Errors
    /// [`Error::Group`] if a process is lost.
    pub fn numbers_of_first(&self, numbers: &[i64]) -> Result<Vec<i64>> {
        let numbers = Tensor::from_slice(numbers);
        self.broadcast(&numbers)?;
        Ok(Vec::try_from(numbers)?)
    }

    /// The text of rank 0. Others give any text.
    ///
    /// # Errors
    /// [`Error::Group`] if a process is lost.
    pub fn text_of_first(&self, text: &str) -> Result<String> {
        let length = self.numbers_of_first(&[text.len() as i64])?[0];
        let bytes = match self.is_first() {
            true => Tensor::from_slice(text.as_bytes()),
            false => Tensor::f_zeros([length], (Kind::Uint8, Device::Cpu))?,
        };
        self.broadcast(&bytes)?;
        let bytes = Vec::<u8>::try_from(bytes)?;
        String::from_utf8(bytes).map_err(|_| Error::Group("rank 0 has sent other bytes than a text".into()))
    }

    /// Passes on a result of this process if all others have succeeded, too. Its message has the form of
    /// [`Group::begin_step`], so that a process hears of a failure at either of them.
    ///
    /// # Errors
    /// That of this process; [`Error::PeerFailed`] if another one has failed.
    pub fn all_succeed<T, E: From<Error>>(&self, result: std::result::Result<T, E>) -> std::result::Result<T, E> {
        // After a failure, all processes know.
        if self.has_ended.get() {
            return result;
        }
        match self.tell(if result.is_err() { FAILED } else { 0 }, &[]) {
            Ok(_) => result,
            Err(Error::PeerFailed { rank }) if rank < self.rank || result.is_ok() => {
                Err(Error::PeerFailed { rank }.into())
            }
            // The reason of this process says more than the loss of another one.
            Err(error) => result.and(Err(error.into())),
        }
    }

    /// Checks that all processes have the same text, by its hash. `what` names it in the error.
    ///
    /// # Errors
    /// [`Error::Group`] if this process has another one than rank 0.
    pub fn agree(&self, what: &str, text: &str) -> Result<()> {
        let all = self.gather(&[xxh3_64(text.as_bytes()) as i64])?;
        let is_equal = all[self.rank] == all[0];
        self.all_succeed(is_equal.then_some(()).ok_or_else(|| {
            Error::Group(format!(
                "rank {} and rank 0 have different {what}: start all processes with the same arguments",
                self.rank
            ))
        }))
    }

    /// Asks all processes to stop after the next step.
    pub fn ask_to_stop(&self) {
        self.says.set(self.says.get() | STOP);
    }

    /// Whether a process has asked to stop, up to the last step. It is the same on all processes.
    pub fn is_stopping(&self) -> bool {
        self.heard.get() & STOP != 0
    }

    /// Asks all processes to write a checkpoint after the next step, until [`Group::has_saved`].
    pub fn ask_to_save(&self) {
        self.says.set(self.says.get() | SAVE);
    }

    /// Says that there is a new checkpoint.
    pub fn has_saved(&self) {
        self.says.set(self.says.get() & !SAVE);
    }

    /// Whether a process has asked for a checkpoint after the last step. It is the same on all processes.
    pub fn is_saving(&self) -> bool {
        self.heard.get() & SAVE != 0
    }

    /// Prepares for training, before any process can fail in it. `numbers` is the most that a process passes to
    /// [`Group::begin_step`], the same on all of them.
    pub fn begin(&self, numbers: usize) {
        self.numbers.set(numbers);
        self.says.set(0);
        self.heard.set(0);
    }

    /// The numbers of each process in a step, before anything else of the step is exchanged. Missing ones are 0.
    ///
    /// # Errors
    /// [`Error::PeerFailed`] if another process has failed since the last step; [`Error::Group`] if one is lost.
    ///
    /// # Panics
    /// If these are more than [`Group::begin`] says: the other processes would end without a message.
    pub fn begin_step(&self, numbers: &[i64]) -> Result<Vec<Vec<i64>>> {
        let (all, heard) = self.tell(self.says.get(), numbers)?;
        self.heard.set(heard);
        Ok(all)
    }

    /// The numbers of each process, and what all of them say.
    fn tell(&self, says: i64, numbers: &[i64]) -> Result<(Vec<Vec<i64>>, i64)> {
        assert!(numbers.len() <= self.numbers.get(), "numbers of a step");
        let mut own: Vec<i64> = std::iter::once(says).chain(numbers.iter().copied()).collect();
        own.resize(1 + self.numbers.get(), 0);
        let mut all = self.gather(&own)?;
        let said: Vec<i64> = all.iter_mut().map(|numbers| numbers.remove(0)).collect();
        match said.iter().position(|said| said & FAILED != 0) {
            Some(rank) => {
                self.has_ended.set(true);
                Err(Error::PeerFailed { rank })
            }
            None => Ok((all, said.iter().fold(0, |all, said| all | said))),
        }
    }

    /// Tells the others that this process has failed, so that they end with it. Returns its error or, if one of a lower rank
    /// has failed as well, [`Error::PeerFailed`]: one of them says why.
    pub fn leave(&self, error: Error) -> Error {
        if self.has_ended.replace(true) {
            return error;
        }
        match self.tell(FAILED, &[]) {
            Err(Error::PeerFailed { rank }) if rank < self.rank => Error::PeerFailed { rank },
            Ok(_) | Err(_) => error,
        }
    }

    fn lost<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            self.has_ended.set(true);
            Error::Group(format!(
                "rank {} of {} lost another process, which may have ended: {}",
                self.rank,
                self.size,
                reason(error)
            ))
        })
    }
}

/// The reason that libtorch gives, without places in its sources.
fn reason(error: Error) -> String {
    let text = match error {
        Error::Torch(text) => text,
        other => other.to_string(),
    };
    let text = first_line(&text);
    match text.split_once("] ") {
        Some((place, rest)) if place.starts_with('[') => rest.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::TcpListener;

    use super::*;

    fn of(changes: &[(&str, Option<&str>)]) -> Result<Rendezvous> {
        let usual = [("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500"), ("RANK", "1"), ("WORLD_SIZE", "2")];
        let of = |name: &str| {
            let changed = changes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            let usual = usual.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            changed.unwrap_or(usual).map(str::to_owned)
        };
        Rendezvous::of_variables(of, Duration::from_secs(5))
    }

    #[test]
    fn variables_say_where_processes_meet() {
        let found = of(&[]).unwrap();
        assert_eq!((found.rank, found.size, found.port, found.has_server, found.restarts), (1, 2, 29500, false, 0));
        assert_eq!(found.interface.as_deref(), Some(LOOPBACK));
        let found = of(&[("MASTER_ADDR", Some("node-0")), ("TORCHELASTIC_USE_AGENT_STORE", Some("True"))]).unwrap();
        assert!(found.interface.is_none() && found.has_server);
    }

    #[test]
    fn wrong_variables_are_errors_of_one_line() {
        let error = |name: &'static str, value| of(&[(name, value)]).unwrap_err().to_string();
        assert!(error("RANK", None).starts_with("the variable RANK is not set: start the processes with `torchrun"));
        assert!(
            error("MASTER_PORT", Some("99999")).contains("MASTER_PORT is `99999`, which is not a number in its range")
        );
        assert!(error("RANK", Some("2")).contains("RANK is 2, but must be below WORLD_SIZE, which is 2"));
        assert!(error("WORLD_SIZE", Some("x")).contains("WORLD_SIZE is `x`"));
    }

    #[test]
    fn a_group_of_one_process_is_complete() {
        let at = Rendezvous { rank: 0, size: 1, port: 0, ..of(&[]).unwrap() };
        let group = Group::join(&at).unwrap();
        let numbers = Tensor::from_slice(&[1.0_f32, 2.0]);
        group.sum(&numbers).unwrap();
        assert_eq!(Vec::<f32>::try_from(&numbers).unwrap(), [1.0, 2.0]);
        assert_eq!(group.gather(&[3, 4]).unwrap(), [[3, 4]]);
        assert_eq!((group.part(5), group.is_first()), (0..5, true));
        assert_eq!(group.text_of_first("é").unwrap(), "é");
        group.agree("settings", "a = 1").unwrap();
        group.begin(1);
        group.ask_to_stop();
        assert!(!group.is_stopping());
        assert_eq!(group.begin_step(&[7]).unwrap(), [[7]]);
        assert!(group.is_stopping());
        assert!(matches!(group.leave(Error::Rows("none".into())), Error::Rows(_)));
    }

    /// Runs `work` as each of several processes, in threads.
    pub(crate) fn in_group(size: usize, work: impl Fn(&Group) + Sync) {
        // Free when it is asked for; nothing else takes it before rank 0 listens.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::thread::scope(|threads| {
            for rank in 0..size {
                let work = &work;
                threads.spawn(move || {
                    let at = Rendezvous {
                        host: "127.0.0.1".into(),
                        port,
                        rank,
                        size,
                        has_server: false,
                        restarts: 0,
                        interface: Some(LOOPBACK.into()),
                        timeout: Duration::from_secs(60),
                    };
                    let group = Group::join(&at).unwrap();
                    group.begin(1 + size);
                    work(&group);
                });
            }
        });
    }

    #[test]
    fn what_one_process_asks_for_is_heard_by_all_until_it_is_done() {
        in_group(3, |group| {
            let step = || {
                group.begin_step(&[group.rank() as i64]).unwrap();
                (group.is_saving(), group.is_stopping())
            };
            assert_eq!(step(), (false, false));
            if group.is_first() {
                group.ask_to_save();
            }
            // A step may have several messages.
            assert_eq!((step(), step()), ((true, false), (true, false)));
            group.has_saved();
            if group.rank() == 2 {
                group.ask_to_stop();
            }
            assert_eq!((step(), step()), ((false, true), (false, true)));
        });
    }

    #[test]
    fn a_failure_is_heard_at_any_message() {
        for is_in_step in [true, false] {
            in_group(3, |group| {
                let failure = || Error::Group("it".into());
                if group.rank() == 1 {
                    let error = match is_in_step {
                        true => group.leave(failure()),
                        false => group.all_succeed::<(), Error>(Err(failure())).unwrap_err(),
                    };
                    assert_eq!(error.to_string(), failure().to_string());
                    return;
                }
                let error = match group.rank() {
                    0 => group.begin_step(&[7, 7]).unwrap_err(),
                    _ => group.all_succeed::<(), Error>(Ok(())).unwrap_err(),
                };
                assert!(matches!(error, Error::PeerFailed { rank: 1 }), "{error}");
                // Nobody sends or waits for another message.
                assert!(group.all_succeed::<(), Error>(Ok(())).is_ok());
                assert!(matches!(group.leave(error), Error::PeerFailed { rank: 1 }));
            });
        }
    }
}
