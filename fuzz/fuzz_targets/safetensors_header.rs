//! Any bytes as a safetensors file: no panic, and what we accept the reference reader accepts, with
//! the same tensors.
#![no_main]

use afterthought_models::hub::parse_header;
use libfuzzer_sys::fuzz_target;
use safetensors::tensor::SafeTensors;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensors) = parse_header(bytes, bytes.len() as u64) {
        let reference = SafeTensors::deserialize(bytes).expect("accepted by the stricter reader");
        assert_eq!(reference.len(), tensors.len());
        for tensor in &tensors {
            let view = reference.tensor(&tensor.name).expect("the same names");
            assert_eq!(view.data(), &bytes[tensor.range.clone()]);
        }
    }
});
