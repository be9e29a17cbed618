// Whether this container's hub can do its work: exit code 0 or 1. Images of Node have neither curl nor wget.

const url = `http://127.0.0.1:${process.env.PORT || 3000}/health/ready`;
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(3_000) });
  console.log(response.status, await response.text());
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  console.log(`${url}: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
