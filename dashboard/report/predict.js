// Surrogates in the browser: the laws and Gaussian processes of engine/surrogates, equal to Python's within 1e-6.
//
// predictor(data) -> { metrics, mean(point) -> [M], joint(points) -> { mean [N][M], cov [M][N][N] } }, where cov is of the
// errors of the mean function; points are shares or coefficients [D]. data: what engine/surrogates/portable.py made.

const FLOOR = 1e-3, DEPTH = 1.0, JITTER = 1e-8, HIGHEST = 30;
const sum = (xs) => xs.reduce((a, b) => a + b, 0);
const dot = (a, b) => {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
};
const meanOf = (xs) => sum(xs) / xs.length;
const deviation = (xs) => {
  const centre = meanOf(xs);
  return Math.sqrt(meanOf(xs.map((x) => (x - centre) ** 2)));
};
// Mean and spread of a metric over the runs that have it; one that never varies has a tiny spread, not 0.
const centreAndSpread = (xs) => {
  const centre = meanOf(xs), least = 1e-6 * Math.abs(centre);
  return [centre, Math.max(deviation(xs), least > 0 ? least : 1e-6)];
};

// Laws: value and slope of a formula; the covariance is that of its numbers.
const FORMULAS = {
  log_linear(law, p) {
    const part = Math.exp(Math.min(dot(law.slice(1), p), HIGHEST));
    return [law[0] + part, [1, ...p.map((x) => part * x)]];
  },
  power_law(law, p) {
    const clip = (x, low, high) => Math.min(high, Math.max(low, x));
    const helping = law.slice(2).map((x) => Math.exp(clip(x, -HIGHEST, HIGHEST)));
    const base = Math.max(dot(helping, p), 1e-12), power = Math.exp(clip(law[1], -5, 3)), log = Math.log(base);
    const part = Math.exp(Math.min(-power * log, HIGHEST));
    return [law[0] + part, [1, -power * log * part, ...p.map((x, j) => ((-power * part) / base) * x * helping[j])]];
  },
};

function lawOf({ kind, law, spread, root }) {
  const formula = FORMULAS[kind];
  return {
    metrics: law.length,
    mean: (point) => law.map((numbers, m) => formula(numbers, point)[0] * spread[m]),
    joint(points) {
      const mean = points.map(() => []), cov = law.map((numbers, m) => spanned(points.map((point, n) => {
        const [value, slope] = formula(numbers, point);
        mean[n][m] = value * spread[m];
        return through(slope, root[m]);
      })));
      return { mean, cov };
    },
  };
}

// A row times a matrix, and the covariance [N][N] of points whose errors are spans of independent ones.
const through = (row, matrix) => matrix[0].map((_, k) => sum(row.map((x, p) => x * matrix[p][k])));
const spanned = (spans) => spans.map((a) => spans.map((b) => dot(a, b)));

// The law of epochs: benefits and harms of passes over text; beyond the runs both go on as straight lines.
const DOUBT = 0.5;
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
function harmOf(passes, tau, most) {
  const within = Math.min(passes, most), rise = softplus(Math.log1p(within) - tau);
  const tangent = (2 * rise * -Math.expm1(-rise) * within) / (1 + within);
  return rise ** 2 - softplus(-tau) ** 2 + (within > 0 ? tangent * Math.log(passes / within) : 0);
}
const grown = (harms, edge) => Math.exp(Math.min(harms, edge)) * (1 + Math.max(harms - edge, 0));

function epochsOf({ repeats, most, shapes, floors, harmed, coefficients, root }) {
  const domains = repeats.length;
  const at = (point, m) => {
    const [rho, kappa, tau] = shapes[m], edge = harmed[m], costs = coefficients[m].slice(domains + 1);
    const passes = point.map((x, d) => Math.max(x, 0) * (repeats[d] > 0 ? repeats[d] : domains));
    const helps = [1, ...passes.map((x) => Math.expm1(-((rho * x) ** kappa)))];
    const harms = passes.map((x, d) => (repeats[d] > 0 ? harmOf(x, tau, most[d]) : 0)), total = dot(harms, costs);
    const level = Math.exp(Math.min(dot(helps, coefficients[m]), HIGHEST)), above = level * grown(total, edge);
    const span = () => {
      const steep = level * Math.exp(Math.min(total, edge));
      const held = harms.map((x, d) => Math.min(x, harmOf(most[d], tau, Infinity)));
      const stopped = level * Math.exp(Math.min(dot(held, costs), edge));
      return [...through([...helps.map((x) => x * above), ...harms.map((x) => x * steep)], root[m]), DOUBT * (above - stopped)];
    };
    return { loss: floors[m] + above, span };
  };
  return {
    metrics: floors.length,
    mean: (point) => floors.map((_, m) => at(point, m).loss),
    joint(points) {
      const found = floors.map((_, m) => points.map((point) => at(point, m)));
      const mean = points.map((_, n) => found.map((row) => row[n].loss));
      return { mean, cov: found.map((row) => spanned(row.map((one) => one.span()))) };
    },
  };
}

// Gaussian processes. Rows of a lower triangle are Float64Arrays.
function cholesky(matrix) {
  for (let i = 0; i < matrix.length; i++) {
    const row = matrix[i];
    for (let j = 0; j <= i; j++) {
      const other = matrix[j];
      let left = row[j];
      for (let k = 0; k < j; k++) left -= row[k] * other[k];
      row[j] = i === j ? Math.sqrt(left) : left / other[j];
    }
  }
  return matrix;
}

function forward(lower, b) {
  const x = new Float64Array(b.length);
  for (let i = 0; i < b.length; i++) {
    let left = b[i];
    for (let k = 0; k < i; k++) left -= lower[i][k] * x[k];
    x[i] = left / lower[i][i];
  }
  return x;
}

function backward(lower, b) {
  const x = Float64Array.from(b);
  for (let i = b.length - 1; i >= 0; i--) {
    x[i] /= lower[i][i];
    for (let k = 0; k < i; k++) x[k] -= lower[i][k] * x[i];
  }
  return x;
}

const KERNELS = {
  matern: (distance) => {
    const a2 = Math.abs(5 * distance), a = Math.sqrt(a2);
    return (1 + a + a2 / 3) * Math.exp(-a);
  },
  rational: (distance) => 1 / (1 + 0.5 * distance),
};
const WARPS = [(p) => p.map((x) => Math.log(Math.max(x, 0) + FLOOR)), (p) => p.map((x) => Math.sqrt(Math.max(x, 0)))];
const LINES = [(p) => p.map((x) => Math.max(x, 0)), WARPS[0]];

// Features centred on the runs, with one scale for all domains.
function centred(warp, runs, factor = 1) {
  const known = runs.map(warp), columns = known[0].length;
  const middle = Array.from({ length: columns }, (_, d) => meanOf(known.map((row) => row[d])));
  const scale = Math.max(deviation(known.flat()), 1e-9) * factor;
  return (point) => warp(point).map((x, d) => (x - middle[d]) / scale);
}

const distance = (a, b) => {
  let total = 0;
  for (let d = 0; d < a.length; d++) total += (a[d] - b[d]) ** 2;
  return total;
};

// One process of one metric in one warp, conditioned on the runs that have the metric.
function condition(kernel, features, lines, targets, theta, projected) {
  const domains = features[0].length, rates = theta.slice(0, domains).map((x) => Math.exp(-x));
  const [amplitude, noise] = theta.slice(domains, domains + 2).map((x) => Math.exp(2 * x));
  const sizes = lines[0].map((_, k) => Math.exp(theta[domains + 2 + Math.floor(k / domains)]));
  const scaled = (z) => z.map((x, d) => x * rates[d]), sized = (line) => line.map((x, k) => x * sizes[k]);
  const at = features.map(scaled), known = lines.map(sized);
  const between = (a, b, p, q) => amplitude * kernel(distance(a, b)) + dot(p, q);
  const lower = cholesky(at.map((a, i) => {
    const row = new Float64Array(at.length);
    for (let j = 0; j <= i; j++) row[j] = between(a, at[j], known[i], known[j]) + (i === j ? noise + JITTER : 0);
    return row;
  }));
  let centres = at, dual, slopes;
  if (projected) {
    // the rows of `inducing` are -2 x stretch x the scaled features: only these are needed
    const stretch = kernel === KERNELS.matern ? 5 : 0.5, rows = projected.inducing.slice(0, domains);
    centres = rows[0].map((_, i) => rows.map((row) => row[i] / (-2 * stretch)));
    ({ dual, slopes } = projected);
  } else {
    const solved = backward(lower, forward(lower, targets));
    dual = solved.map((x) => amplitude * x);
    slopes = sizes.map((size, k) => size * sum(known.map((row, r) => row[k] * solved[r])));
  }
  const whiten = (z, line) => {
    const here = scaled(z), own = sized(line);
    return { here, own, known: forward(lower, at.map((a, r) => between(here, a, own, known[r]))) };
  };
  return {
    mean(z, line) {
      const here = scaled(z);
      let total = dot(line, slopes);
      for (let i = 0; i < centres.length; i++) total += kernel(distance(here, centres[i])) * dual[i];
      return total;
    },
    cov(zs, all) {
      const ready = zs.map((z, n) => whiten(z, all[n]));
      return ready.map((a) => ready.map((b) => between(a.here, b.here, a.own, b.own) - dot(a.known, b.known)));
    },
  };
}

function processOf({ kernel, weights, losses, theta, projected }) {
  const metrics = losses[0].length, correlate = KERNELS[kernel];
  const warps = WARPS.map((warp) => centred(warp, weights));
  const parts = LINES.map((warp) => centred(warp, weights, Math.sqrt(weights[0].length)));
  const lineOf = (point) => parts.flatMap((part) => part(point));
  const lines = weights.map(lineOf), ready = [];
  const column = (m) => losses.map((row) => row[m]);
  // Factorised when a metric is first asked for: large studies open at once.
  const of = (m) => (ready[m] ??= (() => {
    const rows = weights.map((_, r) => r).filter((r) => losses[r][m] !== null), values = rows.map((r) => column(m)[r]);
    const floor = Math.min(...values) - DEPTH * centreAndSpread(values)[1];
    const logs = values.map((x) => Math.log(x - floor)), [centre, spread] = centreAndSpread(logs);
    const targets = logs.map((x) => (x - centre) / spread);
    const pair = warps.map((warp, w) =>
      condition(correlate, rows.map((r) => warp(weights[r])), rows.map((r) => lines[r]), targets, theta[w][m], projected?.[w][m]));
    return { floor, centre, spread, pair };
  })());
  const targetsAt = (one, point) => one.pair.map((process, w) => process.mean(warps[w](point), lineOf(point)));
  return {
    metrics,
    mean: (point) => Array.from({ length: metrics }, (_, m) => {
      const one = of(m);
      return one.floor + Math.exp(one.centre + one.spread * meanOf(targetsAt(one, point)));
    }),
    joint(points) {
      const mean = points.map(() => []), cov = [];
      for (let m = 0; m < metrics; m++) {
        const one = of(m), both = points.map((point) => targetsAt(one, point));
        const gaps = both.map(([log, root]) => (log - root) / 2);
        const above = both.map((pair) => Math.exp(one.centre + one.spread * meanOf(pair)));
        above.forEach((x, n) => (mean[n][m] = one.floor + x));
        const own = one.pair.map((process, w) => process.cov(points.map(warps[w]), points.map(lineOf)));
        cov.push(points.map((_, a) => points.map((_, b) =>
          ((own[0][a][b] + own[1][a][b]) / 2 + gaps[a] * gaps[b]) * one.spread ** 2 * above[a] * above[b])));
      }
      return { mean, cov };
    },
  };
}

// What is made of others.
const combine = (parts, how) => parts[0].map((row, a) => row.map((_, b) => how(parts.map((part) => part[a][b]), a, b)));

function stackOf({ members, weights }) {
  const ready = members.map(formOf), weighed = (values) => dot(weights, values);
  return {
    metrics: ready[0].metrics,
    mean: (point) => {
      const means = ready.map((one) => one.mean(point));
      return means[0].map((_, m) => weighed(means.map((mean) => mean[m])));
    },
    joint(points) {
      const found = ready.map((one) => one.joint(points)), mean = combine(found.map((one) => one.mean), weighed);
      const cov = found[0].cov.map((_, m) => combine(found.map((one) => one.cov[m]), (values, a, b) =>
        weighed(values.map((value, k) => value + (found[k].mean[a][m] - mean[a][m]) * (found[k].mean[b][m] - mean[b][m])))));
      return { mean, cov };
    },
  };
}

function aroundOf({ members, offset }) {
  const ready = members.map(formOf), extra = ready.length - 1;
  return {
    metrics: ready[0].metrics,
    mean: (point) => ready.map((one) => one.mean(point)).reduce((a, b) => a.map((x, m) => x + b[m])).map((x, m) => x - extra * offset[m]),
    joint(points) {
      const found = ready.map((one) => one.joint(points));
      const mean = combine(found.map((one) => one.mean), sum).map((row) => row.map((x, m) => x - extra * offset[m]));
      return { mean, cov: found[0].cov.map((_, m) => combine(found.map((one) => one.cov[m]), sum)) };
    },
  };
}

function boxOf({ lower, upper, member }) {
  const inside = formOf(member), width = upper.map((x, d) => (x > lower[d] ? x - lower[d] : 1));
  const features = (point) => point.map((x, d) => 1 + (x - lower[d]) / width[d]);
  return { metrics: inside.metrics, mean: (point) => inside.mean(features(point)), joint: (points) => inside.joint(points.map(features)) };
}

const formOf = (data) => ({ law: lawOf, epochs: epochsOf, process: processOf, stack: stackOf, around: aroundOf, box: boxOf })[data.form](data);

// The aggregate's standard deviation from those of the metrics, with the correlations of their errors.
const together = (std, weights, correlation) => {
  const weighed = std.map((x, m) => x * weights[m]);
  return Math.sqrt(Math.max(0, dot(weighed, correlation.map((row) => dot(row, weighed)))));
};

export function predictor(data) {
  const form = formOf(data), { noise, scale, correlation } = data;
  return {
    ...form,
    // Of one run at each point: mean and std [N][M].
    predict(points) {
      const alone = points.map((point) => form.joint([point])); // what lies between points is not asked for
      const std = alone.map(({ cov }) => cov.map(([[own]], m) => scale[m] * Math.sqrt(Math.max(own, 0) + noise[m])));
      return { mean: alone.map(({ mean }) => mean[0]), std };
    },
    // Of the difference between two runs: gap and std [M].
    difference(here, there) {
      const { mean, cov } = form.joint([here, there]);
      const variance = cov.map((one) => Math.max(one[0][0] + one[1][1] - 2 * one[0][1], 0));
      return { gap: mean[0].map((x, m) => x - mean[1][m]), std: variance.map((x, m) => scale[m] * Math.sqrt(x + 2 * noise[m])) };
    },
    together: (std, weights) => together(std, weights, correlation),
  };
}
