# syntax=docker/dockerfile:1
FROM node:26-alpine AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Skip install scripts: the only one installs Node, which this image already has.
RUN npm ci --omit=dev --ignore-scripts

FROM node:26-alpine
LABEL org.opencontainers.image.title="Trimint" \
      org.opencontainers.image.description="Issues tokens under three vendors' contracts: BioID BWS, GBG IDscan and nevisFIDO"
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY src ./src
COPY openapi/openapi.json ./openapi/
# Some platforms assign a random user id in group 0. Trimint writes only to `data`.
# A relative path in the configuration is relative to /etc/trimint: its data folder links to the one in /app.
RUN mkdir data && chown 1000:0 data && chmod 0770 data && ln -s /app/src/cli/main.ts /usr/local/bin/trimint && \
    mkdir /etc/trimint && ln -s /app/data /etc/trimint/data
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 TRIMINT_CONFIG=/etc/trimint/trimint.yaml
# The user `node`, as a number, so that platforms can verify that it is not root.
USER 1000
EXPOSE 8080
# Reads the server's environment and configuration to find its address.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["node", "src/cli/main.ts", "healthcheck"]
# SIGUSR1 would open a port for debuggers.
ENTRYPOINT ["node", "--disable-sigusr1", "src/main.ts"]
