//! The passive listener, where this build has it. Without the feature `capture` nothing of it can be made.

#[cfg(feature = "capture")]
pub(crate) use there::{Listener, Opened, SOURCE};

#[cfg(not(feature = "capture"))]
pub(crate) use not_there::{Listener, Opened, SOURCE};

#[cfg(feature = "capture")]
mod there {
    use std::sync::Arc;

    use mirror::config::{Config, Fault, Transparent};
    use mirror::engine::Engine;
    use mirror::telemetry::Telemetry;
    pub(crate) use mirror_capture::SOURCE;
    pub(crate) use mirror_capture::listener::Running as Listener;
    use mirror_capture::listener::{CapabilitySet, Captures};

    /// All captures, opened and not yet read.
    pub(crate) struct Opened(Captures);

    impl Opened {
        /// Opens all that is to be captured; none where nothing is.
        pub(crate) fn open(config: &Config) -> Result<Option<Opened>, Vec<Fault>> {
            match config.capture.is_empty() {
                true => Ok(None),
                false => Ok(Some(Opened(Captures::open(config)?))),
            }
        }

        /// Before any thread is started: they have what this one has.
        pub(crate) fn drop_privileges(&self, config: &Config) {
            // Connections that are marked, or have others' addresses, take it each time.
            let proxy = &config.proxy;
            let marks = proxy.mark.is_some() || proxy.transparent == Some(Transparent::Tproxy);
            self.0.drop_privileges(if marks { CapabilitySet::NET_ADMIN } else { CapabilitySet::empty() });
        }

        pub(crate) fn start(self, engine: &Engine, telemetry: &Arc<Telemetry>) -> std::io::Result<Listener> {
            self.0.start(&engine.tap_of(SOURCE, telemetry), telemetry)
        }
    }
}

#[cfg(not(feature = "capture"))]
mod not_there {
    use std::convert::Infallible;
    use std::sync::Arc;

    use mirror::config::{Config, Fault};
    use mirror::engine::Engine;
    use mirror::telemetry::Telemetry;

    pub(crate) const SOURCE: &str = "capture";

    pub(crate) struct Opened(Infallible);

    pub(crate) struct Listener(Infallible);

    impl Opened {
        /// That something is to be captured has been refused before.
        pub(crate) fn open(_: &Config) -> Result<Option<Opened>, Vec<Fault>> {
            Ok(None)
        }

        pub(crate) fn drop_privileges(&self, _: &Config) {
            match self.0 {}
        }

        pub(crate) fn start(self, _: &Engine, _: &Arc<Telemetry>) -> std::io::Result<Listener> {
            match self.0 {}
        }
    }

    impl Listener {
        pub(crate) async fn ended(&self) {
            match self.0 {}
        }

        pub(crate) fn stop(self) {
            match self.0 {}
        }

        pub(crate) fn cut(&self) -> Option<String> {
            match self.0 {}
        }
    }
}
