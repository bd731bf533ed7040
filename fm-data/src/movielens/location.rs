//! The folders of releases, and their downloads.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::form;
use super::release::{BASE_URL, Release};
use crate::download::{Progress, Remote};
use crate::error::{Error, Result};
use crate::unpack::unpack;

/// Maximum size of an unpacked release; ml-32m takes 1 GB.
const MAX_UNPACKED: u64 = 8 << 30;

/// The environment variable with the folder for data.
const DATA_DIR_VARIABLE: &str = "FM_DATA_DIR";

/// The folder of the releases: `explicit` if given, otherwise the environment variable `FM_DATA_DIR` if set, otherwise
/// `fm` in the platform's folder for data (`~/.local/share` on Linux).
///
/// # Errors
/// [`Error::NoDataFolder`] if the platform has no such folder.
pub fn data_dir(explicit: Option<&Path>) -> Result<PathBuf> {
    choose_data_dir(explicit, std::env::var_os(DATA_DIR_VARIABLE), dirs::data_dir())
}

fn choose_data_dir(explicit: Option<&Path>, variable: Option<OsString>, platform: Option<PathBuf>) -> Result<PathBuf> {
    explicit
        .map(Path::to_owned)
        .or_else(|| variable.filter(|value| !value.is_empty()).map(PathBuf::from))
        .or_else(|| platform.map(|folder| folder.join("fm")))
        .ok_or(Error::NoDataFolder { variable: DATA_DIR_VARIABLE })
}

/// The folder of a release, by its name, or of other data, by its path. A release in `data_dir` takes precedence over a
/// folder of the same name.
///
/// # Errors
/// [`Error::MissingRelease`] for a release that has not been downloaded; [`Error::UnknownData`] for an unknown name;
/// [`Error::Data`] for a file.
pub fn locate(data_dir: &Path, name_or_folder: &str) -> Result<PathBuf> {
    let release: Result<Release> = name_or_folder.parse();
    let downloaded = release.as_ref().ok().map(|release| data_dir.join(release.name()));
    let given = PathBuf::from(name_or_folder);
    if let Some(folder) = downloaded.into_iter().chain([given.clone()]).find(|folder| folder.is_dir()) {
        return Ok(folder);
    }
    Err(match release {
        Ok(release) => Error::MissingRelease { release: release.name(), folder: data_dir.to_owned() },
        Err(_) if given.exists() => Error::data(given, None, "is a file; expected a folder"),
        Err(_) => Error::UnknownData {
            name: name_or_folder.to_owned(),
            known: Release::ALL.map(|release| release.name().to_owned()).to_vec(),
        },
    })
}

/// Downloads a release to `data_dir/<name>`, and returns this folder. Does nothing if the folder already contains it.
/// `base_url` replaces the address of GroupLens' server.
///
/// # Errors
/// [`Error::Download`], [`Error::Archive`], [`Error::Io`]; [`Error::Data`] if the folder has other content.
pub fn download(
    release: Release,
    data_dir: &Path,
    base_url: Option<&str>,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let folder = data_dir.join(release.name());
    if form::find(&folder).is_ok() {
        return Ok(folder);
    }
    if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let reason = format!("the folder exists, but does not contain {release}: move it away");
        return Err(Error::data(folder, None, reason));
    }
    std::fs::create_dir_all(data_dir).map_err(Error::io("create", data_dir))?;
    let url = format!("{}/{}", base_url.unwrap_or(BASE_URL).trim_end_matches('/'), release.archive());
    let md5 = match release.md5() {
        Some(md5) => md5.to_owned(),
        None => published_md5(&Remote { url: &format!("{url}.md5") })?,
    };
    let archive = data_dir.join(release.archive());
    Remote { url: &url }.download(&archive, &md5, progress)?;
    unpack(&archive, &folder, MAX_UNPACKED)?;
    std::fs::remove_file(&archive).map_err(Error::io("remove", &archive))?;
    form::find(&folder)?;
    Ok(folder)
}

/// The sum in the output of `md5` ("MD5 (x.zip) = 0123…") or `md5sum` ("0123…  x.zip").
fn published_md5(remote: &Remote<'_>) -> Result<String> {
    let text = remote.text()?;
    let is_sum = |word: &&str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let none = || Error::Download { url: remote.url.to_owned(), reason: "it contains no MD5 sum".into() };
    text.split_whitespace().find(is_sum).map(str::to_owned).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::tests::{Server, answer};
    use crate::unpack::tests::archive;
    use md5::{Digest, Md5};

    const RATINGS: &[u8] = b"userId,movieId,rating,timestamp\n1,2,3.5,4\n";
    const MOVIES: &[u8] = b"movieId,title,genres\n2,A (1990),Drama\n";

    #[test]
    fn the_data_folder_is_the_given_one_or_the_variable_or_the_default() {
        let chosen = |explicit: Option<&str>, variable: Option<&str>, platform: Option<&str>| {
            choose_data_dir(explicit.map(Path::new), variable.map(OsString::from), platform.map(PathBuf::from))
        };
        assert_eq!(chosen(Some("a"), Some("b"), Some("c")).unwrap(), Path::new("a"));
        assert_eq!(chosen(None, Some("b"), Some("c")).unwrap(), Path::new("b"));
        assert_eq!(chosen(None, Some(""), Some("c")).unwrap(), Path::new("c/fm"));
        assert!(chosen(None, None, None).unwrap_err().to_string().contains("FM_DATA_DIR"));
    }

    #[test]
    fn data_is_located_by_release_or_by_folder() {
        let data_dir = tempfile::tempdir().unwrap();
        let message = |name: &str| locate(data_dir.path(), name).unwrap_err().to_string();
        assert!(message("ml-1m").starts_with("ml-1m is not in "));
        assert!(message("ml-1n").starts_with("there is no folder ml-1n"), "{}", message("ml-1n"));
        assert!(message("ml-1n").contains("did you mean `ml-1m`?"), "{}", message("ml-1n"));
        let folder = data_dir.path().join("ml-1m");
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(locate(data_dir.path(), "ml-1m").unwrap(), folder);
        assert_eq!(locate(Path::new("nowhere"), folder.to_str().unwrap()).unwrap(), folder);
        let file = data_dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(message(file.to_str().unwrap()).ends_with("is a file; expected a folder"));
    }

    #[test]
    fn a_release_is_downloaded_verified_and_unpacked_once() {
        let data_dir = tempfile::tempdir().unwrap();
        let bytes = archive(&[("ml-latest-small/ratings.csv", RATINGS), ("ml-latest-small/movies.csv", MOVIES)]);
        let sum: String = Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let sum = format!("MD5 (ml-latest-small.zip) = {sum}\n");
        let server = Server::start(vec![
            answer("200 OK", "", sum.len(), sum.as_bytes()),
            answer("200 OK", "", bytes.len(), &bytes),
        ]);
        let base_url = server.base_url.clone();
        let get = || download(Release::LatestSmall, data_dir.path(), Some(&base_url), &mut |_| {});
        let folder = get().unwrap();
        let paths: Vec<_> = server.requests().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
        assert_eq!(paths, ["/ml-latest-small.zip.md5", "/ml-latest-small.zip"]);
        assert_eq!(folder, data_dir.path().join("ml-latest-small"));
        assert_eq!(super::super::read(&folder).unwrap().ratings.height(), 1);
        assert_eq!(std::fs::read_dir(data_dir.path()).unwrap().count(), 1);
        assert_eq!(get().unwrap(), folder, "the server is gone, so this can't have asked it");
    }

    #[test]
    fn a_file_without_an_md5_sum_is_an_error() {
        let data_dir = tempfile::tempdir().unwrap();
        let server = Server::start(vec![answer("200 OK", "", 7, b"<html/>")]);
        let error = download(Release::LatestSmall, data_dir.path(), Some(&server.base_url), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("ml-latest-small.zip.md5: it contains no MD5 sum"), "{error}");
    }

    #[test]
    fn the_error_for_an_unreachable_server_has_the_address_of_the_archive() {
        let data_dir = tempfile::tempdir().unwrap();
        let error = download(Release::Ml1m, data_dir.path(), Some("http://127.0.0.1:1"), &mut |_| {}).unwrap_err();
        let Error::Download { url, reason } = error else { panic!("{error}") };
        assert_eq!(url, "http://127.0.0.1:1/ml-1m.zip");
        assert!(reason.starts_with("the server cannot be reached"), "{reason}");
    }

    #[test]
    fn a_folder_with_other_content_is_not_touched() {
        let data_dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(data_dir.path().join("ml-1m")).unwrap();
        std::fs::write(data_dir.path().join("ml-1m/mine"), "").unwrap();
        let error = download(Release::Ml1m, data_dir.path(), None, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("does not contain ml-1m: move it away"), "{error}");
    }
}
