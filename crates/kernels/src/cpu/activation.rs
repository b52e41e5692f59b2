//! Values and derivatives of activations, for inner loops.

use super::simd::exp;

/// `sqrt(2 / pi)`.
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// Factor on the cube in the approximation of GELU.
const CUBIC: f32 = 0.044_715;
/// `1 / sqrt(2 pi)`.
const NORMAL_DENSITY: f32 = 0.398_942_3;

/// A function and its derivative. Implemented by types, so that inner loops are compiled for each.
pub(crate) trait Function {
    fn value(x: f32) -> f32;
    /// The value and the derivative.
    fn with_derivative(x: f32) -> (f32, f32);
}

pub(crate) struct Relu;
pub(crate) struct Silu;
pub(crate) struct Gelu;
pub(crate) struct GeluTanh;

/// Calls `$body` with `$function` standing for the type of the activation.
macro_rules! with_function {
    ($activation:expr, $function:ident => $body:expr) => {
        match $activation {
            Activation::Relu => {
                type $function = $crate::cpu::activation::Relu;
                $body
            }
            Activation::Silu => {
                type $function = $crate::cpu::activation::Silu;
                $body
            }
            Activation::Gelu => {
                type $function = $crate::cpu::activation::Gelu;
                $body
            }
            Activation::GeluTanh => {
                type $function = $crate::cpu::activation::GeluTanh;
                $body
            }
        }
    };
}
pub(crate) use with_function;

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

impl Function for Relu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        // NaN passes.
        if x < 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn with_derivative(x: f32) -> (f32, f32) {
        (Self::value(x), if x > 0.0 { 1.0 } else { 0.0 })
    }
}

impl Function for Silu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x / (1.0 + exp(-x))
    }

    #[inline(always)]
    fn with_derivative(x: f32) -> (f32, f32) {
        let sigmoid = sigmoid(x);
        (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid)))
    }
}

impl Function for GeluTanh {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        let inner = 2.0 * SQRT_2_OVER_PI * x * (1.0 + CUBIC * x * x);
        x / (1.0 + exp(-inner))
    }

    #[inline(always)]
    fn with_derivative(x: f32) -> (f32, f32) {
        let sigmoid = sigmoid(2.0 * SQRT_2_OVER_PI * x * (1.0 + CUBIC * x * x));
        let slope = 2.0 * SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x);
        (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid) * slope))
    }
}

impl Function for Gelu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * normal_distribution(x)
    }

    #[inline(always)]
    fn with_derivative(x: f32) -> (f32, f32) {
        let phi = normal_distribution(x);
        (x * phi, phi + x * NORMAL_DENSITY * exp(-0.5 * x * x))
    }
}

/// `(1 + erf(x / sqrt(2))) / 2` to about 1e-7 (Abramowitz & Stegun, 7.1.26).
#[inline(always)]
fn normal_distribution(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4_f32;
    let p = p.mul_add(t, -1.453_152);
    let p = p.mul_add(t, 1.421_413_7);
    let p = p.mul_add(t, -0.284_496_74);
    let p = p.mul_add(t, 0.254_829_6);
    let upper = 0.5 * p * t * exp(-z * z);
    if x < 0.0 { upper } else { 1.0 - upper }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distribution function of the standard normal by its series in f64, for |x| <= 6.
    fn phi(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / 2.0 / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        0.5 + sum / (2.0 * std::f64::consts::PI).sqrt()
    }

    fn check<F: Function>(name: &str, exact: impl Fn(f64) -> f64) {
        for i in -400..=400 {
            let x = f64::from(i) * 0.01 + 0.003;
            let (value, derivative) = F::with_derivative(x as f32);
            assert!((value - F::value(x as f32)).abs() < 1e-6, "{name}({x})");
            let step = 1e-5;
            let slope = (exact(x + step) - exact(x - step)) / (2.0 * step);
            assert!((f64::from(value) - exact(x)).abs() < 2e-6, "{name}({x}) = {value}");
            assert!((f64::from(derivative) - slope).abs() < 5e-6, "{name}'({x}) = {derivative}");
        }
    }

    #[test]
    fn values_and_derivatives_are_those_of_the_definitions() {
        check::<Relu>("relu", |x| x.max(0.0));
        check::<Silu>("silu", |x| x / (1.0 + (-x).exp()));
        check::<Gelu>("gelu", |x| x * phi(x));
        let sqrt = (2.0 / std::f64::consts::PI).sqrt();
        let tanh = |x: f64| 0.5 * x * (1.0 + (sqrt * (x + 0.044715 * x.powi(3))).tanh());
        check::<GeluTanh>("gelu_new", tanh);
    }

    #[test]
    fn large_values_stay_finite() {
        for x in [-1e4f32, -100.0, 100.0, 1e4] {
            let values = [Relu::value(x), Silu::value(x), Gelu::value(x), GeluTanh::value(x)];
            for value in values {
                assert!((value - x.max(0.0)).abs() < 1e-6, "{x}: {values:?}");
            }
            for (_, slope) in [Gelu::with_derivative(x), GeluTanh::with_derivative(x)] {
                assert!((slope - f32::from(u8::from(x > 0.0))).abs() < 1e-6, "{x}: {slope}");
            }
        }
    }
}
