# Serves Porteiro without Cloudflare: docs/guides/self-host.md.
#
#   npm run package && docker build -t porteiro -f Dockerfile dist
#
# Nothing but the package's tarball gets into the image: configuration and secrets are given to the container.
FROM node:24-bookworm-slim AS install
WORKDIR /porteiro
COPY porteiro-*.tgz /tmp/
RUN npm init -y > /dev/null && npm install --omit=dev --no-audit --no-fund /tmp/porteiro-*.tgz

# workerd needs glibc; the command needs Node.js, and setpriv and flock of util-linux, which Debian always has.
FROM node:24-bookworm-slim
ENV NODE_ENV=production
COPY --from=install /porteiro/node_modules /porteiro/node_modules
RUN install -d -o node -g node -m 0700 /data
USER node
WORKDIR /etc/porteiro
VOLUME /data
EXPOSE 8787
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8787/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/porteiro/node_modules/porteiro/scripts/porteiro.mjs", "serve", "--host", "0.0.0.0", "--data", "/data"]
