//! Whether a recording can be written to a path.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use chrono::format::{Item, StrftimeItems};

use crate::config::Expected;

/// Looks, and creates nothing: another setting may yet turn out to be at fault.
pub(super) fn check(path: &Path) -> Result<(), Expected> {
    let (Some(text), Some(name)) = (path.to_str(), path.file_name()) else {
        return Err("a file's path".into());
    };
    if text.ends_with('/') {
        return Err("a file's path, and this is a directory's".into());
    }
    if StrftimeItems::new(text).any(|item| matches!(item, Item::Error)) {
        return Err("a path with conversions that strftime knows, as in %Y%m%d-%H%M%S (%% is a percent sign)".into());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if parent.to_string_lossy().contains('%') {
        return Err("strftime's conversions in the file's name alone, not in its directory's".into());
    }
    match fs::metadata(parent) {
        Ok(parent) if parent.is_dir() => {}
        Ok(_) => return Err(format!("a path whose parent, {}, is a directory", parent.display()).into()),
        Err(error) => return Err(format!("a path in a directory that exists ({}: {error})", parent.display()).into()),
    }
    if name.to_string_lossy().contains('%') {
        return writable_directory(parent);
    }
    match fs::metadata(path) {
        Ok(existing) if existing.is_dir() => Err("a file's path, and this is a directory's".into()),
        // A device or a pipe is not appended to, and to open one can wait for ever.
        Ok(existing) if !existing.is_file() => Err("a regular file's path".into()),
        Ok(_) => match OpenOptions::new().append(true).open(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("a file that can be appended to ({error})").into()),
        },
        Err(_) => writable_directory(parent),
    }
}

fn writable_directory(directory: &Path) -> Result<(), Expected> {
    let c_path = CString::new(directory.as_os_str().as_bytes()).map_err(|_| "a path without a zero byte")?;
    // SAFETY: the pointer is to a string that ends in a zero byte and outlives the call, which only reads it.
    if unsafe { libc::access(c_path.as_ptr(), libc::W_OK | libc::X_OK) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(format!("a path in a directory that can be written to ({}: {error})", directory.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old.avro"), "").unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for good in ["new.avro", "old.avro", "t-%Y%m%d-%H%M%S.avro", "100%%.avro"] {
            assert_eq!(check(&dir.path().join(good)), Ok(()), "{good}");
        }
        assert_eq!(check(Path::new("in-the-working-directory.avro")), Ok(()));
        for (bad, said) in [
            ("", "directory's"),
            ("none/a.avro", "exists"),
            ("file/a.avro", "is a directory"),
            ("%Y/a.avro", "name alone"),
            ("a-%Q.avro", "strftime"),
            ("100%.avro", "strftime"),
        ] {
            let error = check(&dir.path().join(bad)).expect_err(bad).to_string();
            assert!(error.contains(said), "{bad}: {error}");
        }
        assert!(check(dir.path()).unwrap_err().to_string().contains("directory's"));
        assert!(check(Path::new("/dev/null")).unwrap_err().to_string().contains("regular"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing was created");
    }

    #[test]
    fn a_directory_that_is_read_only_is_refused_to_whom_it_is() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let path = dir.path().join("a.avro");
        // Root, as which tests may run, writes all the same.
        assert_eq!(check(&path).is_ok(), fs::File::create(&path).is_ok());
    }
}
