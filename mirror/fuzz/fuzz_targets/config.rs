//! Any text is a configuration or a list of faults; a configuration comes back the same from its own YAML.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mirror::config::Config;

fuzz_target!(|text: &str| {
    if let Ok(config) = Config::from_yaml(text) {
        let yaml = config.to_yaml();
        assert_eq!(Config::from_yaml(&yaml).as_ref(), Ok(&config), "{yaml}");
    }
});
