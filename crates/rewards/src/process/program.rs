use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf, is_separator};

/// Where a program is: a name without a separator is looked up on `path`, anything else is a file,
/// and a relative one starts from `directory`.
pub(crate) fn find(program: &str, directory: &Path, path: Option<OsString>) -> Option<PathBuf> {
    if program.contains(is_separator) {
        return Some(directory.join(program)).filter(|file| file.is_file());
    }
    if cfg!(windows) {
        // Windows has rules of its own about endings and places; starting it will tell.
        return Some(PathBuf::from(program));
    }
    let path = path?;
    // An entry that is empty or relative means the directory the process runs in.
    let places = std::env::split_paths(&path).map(|place| directory.join(place).join(program));
    places.into_iter().find(|file| is_executable(file))
}

/// As for a shell, a file on PATH that may not be executed is not the program.
#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

/// What to do about a program that is not there.
pub(crate) fn missing_hint(program: &str, directory: &Path) -> &'static str {
    if program.contains(is_separator) {
        "there is no such file; a relative path starts from the working directory of the reward"
    } else if directory.join(program).is_file() {
        "it is a file in the working directory and not on PATH: write \"./\" before it, or start it \
         with its interpreter, as in [\"python3\", \"reward.py\"]"
    } else {
        "it is not on PATH: `command` is a list of one program and its arguments, and no shell \
         splits or expands it"
    }
}

/// What to do about a program that is there and does not start.
pub(crate) fn start_hint(error: &io::Error) -> &'static str {
    // ENOEXEC, on every Unix.
    const NOT_A_PROGRAM: i32 = 8;
    if error.kind() == io::ErrorKind::PermissionDenied {
        "make it executable (chmod +x), or start it with its interpreter, as in [\"python3\", \
         \"reward.py\"]"
    } else if cfg!(unix) && error.raw_os_error() == Some(NOT_A_PROGRAM) {
        "a script needs a first line such as #!/usr/bin/env python3, or its interpreter before it in \
         `command`"
    } else {
        "see the system's reason"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn names_are_looked_up_and_paths_are_not() {
        use std::fs::{self, Permissions};
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        fs::create_dir(here.join("bin")).unwrap();
        fs::create_dir(here.join("no")).unwrap();
        fs::write(here.join("no/tool"), "").unwrap();
        fs::write(here.join("bin/tool"), "").unwrap();
        fs::set_permissions(here.join("bin/tool"), Permissions::from_mode(0o755)).unwrap();
        fs::write(here.join("reward.py"), "").unwrap();
        let path = || Some(OsString::from("/nowhere:no:bin"));
        assert_eq!(find("tool", here, path()), Some(here.join("bin/tool")));
        assert_eq!(find("bin/tool", here, None), Some(here.join("bin/tool")));
        assert_eq!(find("bin", here, path()), None);
        assert_eq!(find("reward.py", here, path()), None);
        assert!(missing_hint("reward.py", here).contains("python3"));
        assert!(missing_hint("python3 reward.py", here).contains("no shell"));
        assert!(missing_hint("./other.py", here).contains("working directory"));
    }
}
