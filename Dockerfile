# The hub alone: no MongoDB, no tools, no client library. docs/DEPLOYMENT.md says how it is meant to run.
#   docker build -t state-hub .

FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /hub
COPY package.json package-lock.json ./
COPY shared/package.json shared/
COPY client/package.json client/
COPY server/package.json server/
COPY cli/package.json cli/
# Nothing that the hub needs has an install script.
RUN npm ci --omit=dev --ignore-scripts --workspace=server --workspace=shared

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
WORKDIR /hub
COPY --from=dependencies /hub/node_modules node_modules/
COPY package.json LICENSE ./
COPY shared/ shared/
COPY server/ server/
COPY cli/hubs-file.ts cli/
COPY deploy/health-check.mjs deploy/
# It writes nothing: with MONGODB_URI and API_KEYS set, its file system may be read-only.
USER node
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --start-interval=1s --retries=2 \
  CMD ["node", "deploy/health-check.mjs"]
CMD ["node", "server/main.ts"]
