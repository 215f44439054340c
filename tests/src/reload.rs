//! Changing a running `mirror`: its file, and what is asked of its admin endpoint.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::command::run_to_end;
use crate::config::Config;
use crate::conn::Conn;
use crate::message::Message;
use crate::process::{FILE, Mirror, binary, run};

impl Mirror {
    /// Starts it from a file with flags beside it and waits until it listens.
    ///
    /// # Panics
    /// When it ends instead; with what it said.
    #[track_caller]
    pub fn start_beside(config: &Config, flags: &[&str]) -> Mirror {
        let (mut command, folder) = run(config, Command::new(binary()));
        command.args(flags);
        Mirror::launch(command, folder)
    }

    /// The file that it was started from.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Writes its file anew.
    ///
    /// # Panics
    /// When that cannot be done.
    #[track_caller]
    pub fn write(&self, config: &Config) {
        std::fs::write(self.file(), config.text()).expect("a file of our own");
    }

    /// Writes its file anew and has it reloaded by the admin endpoint, which is to succeed. Gives what is said of it.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn reload(&self, config: &Config) -> String {
        self.write(config);
        let answer = self.ask("POST", "/reload", "");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.text()
    }

    /// The same, which is to be refused.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn refuse(&self, config: &Config) -> String {
        self.write(config);
        let answer = self.ask("POST", "/reload", "");
        assert_eq!(answer.status(), 422, "{}", answer.text());
        answer.text()
    }

    /// Has it reloaded by `mirror reload`.
    #[track_caller]
    pub fn reload_by_command(&self) -> Output {
        run_to_end(self.folder.path(), &["reload", "--admin", &self.admin_address().to_string()])
    }

    /// What the admin endpoint answers to this.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Message {
        self.ask_with(method, path, "", body)
    }

    /// The same with header lines more.
    #[track_caller]
    pub fn ask_with(&self, method: &str, path: &str, lines: &str, body: &str) -> Message {
        let (address, length) = (self.admin_address(), body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}");
        Conn::open(address).exchange(&format!("{head}Content-Length: {length}\r\n\r\n{body}"))
    }
}
